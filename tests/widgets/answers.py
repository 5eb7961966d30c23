"""Answer modal dialogs with real keys and clicks, once they are there."""

from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication, QMessageBox


class Answer(QObject):
    """Do something with the next modal dialog of a name; what went wrong there is raised by `check`."""

    def __init__(self, name, action):
        super().__init__(QApplication.instance())
        self.name, self.action, self.trouble, self.done = name, action, None, False
        self.timer = QTimer(self)
        self.timer.setInterval(20)
        self.timer.timeout.connect(self._look)
        self.timer.start()

    def _look(self):
        dialog = QApplication.activeModalWidget()
        if dialog is None or dialog.objectName() != self.name or not dialog.isVisible():
            return
        self.timer.stop()
        self.done = True
        try:
            self.action(dialog)
        except Exception as error:
            self.trouble = error
            dialog.reject()

    def check(self):
        """Raise what went wrong; the dialog must have been there."""
        if self.trouble is not None:
            raise self.trouble
        assert self.done, f"no dialog {self.name}"


def name_folder(qtbot, folder):
    """Type a new folder's name and place, and press Enter."""

    def fill(dialog):
        for field, text in (("name", folder.name), ("parent", str(folder.parent))):
            box = dialog.form.native(field)
            box.selectAll()
            qtbot.keyClicks(box, text)
        qtbot.keyClick(dialog, Qt.Key.Key_Return)

    return Answer("new_folder_dialog", fill)


def trust(qtbot, words):
    """Click "Verified (ground truth)" or "Draft"."""

    def click(dialog):
        assert isinstance(dialog, QMessageBox)
        button = next(button for button in dialog.buttons() if button.text().startswith(words))
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)

    return Answer("verified_dialog", click)
