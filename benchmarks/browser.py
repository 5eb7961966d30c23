"""A page in Chromium (Qt's WebEngine), in a process of its own, that is clicked and typed into.

WebEngine wants to be imported before there is any Qt application, and an application that ends with it may not end
well; so it has a process: ``python -m benchmarks.browser`` reads a command a line from its standard input, as JSON, and
answers each in a line. `Browser` starts it and speaks with it. Needs a screen, real or virtual.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

SIZE = (1366, 900)
PATIENCE = 60.0  # seconds
FLAGS = "--disable-gpu --disable-gpu-compositing --disable-dev-shm-usage"
KEYS = ("Escape", "Left", "Right", "Tab", "Return")


def can_browse() -> bool:
    """Tell whether WebEngine is installed for the Qt binding in use."""
    from qtpy import API_NAME

    return importlib.util.find_spec(f"{API_NAME}.QtWebEngineWidgets") is not None


class Browser:
    """A window of Chromium; used as a context."""

    def __init__(self, size: tuple[int, int] = SIZE) -> None:
        surroundings = os.environ | {
            "QTWEBENGINE_CHROMIUM_FLAGS": FLAGS, "QT_LOGGING_RULES": "*=false",
            "QTWEBENGINE_DISABLE_SANDBOX": "1",  # Chromium refuses root otherwise, and many containers
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.browser"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=surroundings, cwd=Path(__file__).parents[1],
        )  # fmt: skip
        self.resize(*size)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _ask(self, command: str, *values: object) -> Any:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("The browser has no pipes.")
        stdin.write(json.dumps([command, *values]) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"The browser ended with {self._process.wait()} at {command} {values}.")
        answer = json.loads(line)
        if "failed" in answer:
            raise RuntimeError(f"{command} {values}: {answer['failed']}")
        return answer["value"]

    def open(self, path: Path | str) -> float:
        """Open a file; returns the seconds until it is shown and its program has run."""
        return float(self._ask("open", str(path)))

    def run(self, script: str) -> Any:
        """Evaluate JavaScript in the page; returns what JSON can say."""
        return self._ask("run", script)

    def click(self, selector: str, number: int = 0) -> None:
        """Click an element with the mouse, where it is seen; scrolls there first."""
        self._ask("click", selector, number)

    def type(self, text: str) -> None:
        """Type text into what has the focus."""
        self._ask("type", text)

    def press(self, key: str) -> None:
        """Press one of `KEYS`."""
        self._ask("press", key)

    def wait(self, script: str) -> None:
        """Wait until JavaScript is true.

        Raises
        ------
        RuntimeError
            When that takes too long.
        """
        end = time.monotonic() + PATIENCE
        while not self.run(script):
            if time.monotonic() > end:
                raise RuntimeError(f"Not in {PATIENCE:g} s: {script}")
            time.sleep(0.05)

    def errors(self) -> list[str]:
        """Return what was said on the console as an error or a warning."""
        return list(self._ask("errors"))

    def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        self._ask("resize", width, height)

    def save(self, path: Path | str) -> None:
        """Save a screenshot of what is seen, as PNG."""
        self._ask("save", str(path))

    def memory(self) -> int:
        """Return the memory of the process that shows the page, in bytes: what it shares with no other."""
        children = psutil.Process(self._process.pid).children(recursive=True)
        return max(child.memory_full_info().uss for child in children)  # the others hardly take any


def serve() -> None:
    """Do what is asked for on the standard input, until that ends."""
    from qtpy.QtCore import QEvent, QEventLoop, QPoint, Qt, QTimer, QUrl
    from qtpy.QtTest import QTest
    from qtpy.QtWebEngineWidgets import QWebEnginePage, QWebEngineView
    from qtpy.QtWidgets import QApplication

    said: list[str] = []

    class Page(QWebEnginePage):
        def javaScriptConsoleMessage(self, level: Any, message: str, line: int, source: str) -> None:
            said.append(f"{message} ({source}:{line})")

    application = QApplication(["browser"])
    view = QWebEngineView()
    view.setPage(Page(view))
    view.show()

    def wait_for(begin: Any) -> Any:
        loop, answers = QEventLoop(), list[Any]()
        QTimer.singleShot(int(1000 * PATIENCE), loop.quit)
        begin(lambda *values: (answers.extend(values or [None]), loop.quit()))
        if not answers:
            loop.exec_() if hasattr(loop, "exec_") else loop.exec()
        if not answers:
            raise TimeoutError(f"no answer in {PATIENCE:g} s")
        return answers[0]

    def run(script: str) -> Any:
        return wait_for(lambda done: view.page().runJavaScript(script, done))

    def open_page(path: str) -> float:
        view.setUrl(QUrl("about:blank"))
        QTest.qWait(50)
        began = time.perf_counter()
        connected = []

        def begin(done: Any) -> None:
            connected.append(view.loadFinished.connect(done))
            view.load(QUrl.fromLocalFile(path))

        good = wait_for(begin)
        view.loadFinished.disconnect()
        if not good:
            raise OSError(f"{path} was not opened")
        frame = "new Promise(done => requestAnimationFrame(() => setTimeout(done)))"
        run(f"window.painted = false; {frame}.then(() => {{ window.painted = true; }}); 0")
        while not run("window.painted && document.documentElement.dataset.ready === 'yes'"):
            QTest.qWait(5)
        return time.perf_counter() - began

    def target() -> Any:
        return view.focusProxy() or view

    def click(selector: str, number: int) -> None:
        QTest.qWait(30)
        spot = run(
            f"(() => {{ const node = document.querySelectorAll({json.dumps(selector)})[{number}];"
            "if (!node) return null;"
            "node.scrollIntoView({block: 'center'}); const box = node.getBoundingClientRect();"
            "return [box.left + box.width / 2, box.top + box.height / 2]; })()"
        )
        if spot is None:
            raise LookupError("nothing is there")
        QTest.qWait(30)
        QTest.mouseClick(target(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(*map(round, spot)))
        QTest.qWait(60)

    def type_text(text: str) -> None:
        QTest.keyClicks(target(), text)
        QTest.qWait(60)

    def press(key: str) -> None:
        QTest.keyClick(target(), getattr(Qt.Key, f"Key_{key}"))
        QTest.qWait(60)

    def errors() -> list[str]:
        found = said[:]
        said.clear()
        return found

    def resize(width: int, height: int) -> None:
        view.resize(width, height)
        QTest.qWait(300)

    def save(path: str) -> None:
        frames = "requestAnimationFrame(() => requestAnimationFrame(() => { window.painted = true; }))"
        run(f"window.painted = false; {frames}; 0")
        while not run("window.painted"):
            QTest.qWait(20)
        QTest.qWait(700)
        view.grab().save(path)

    doing = {
        "open": open_page, "run": run, "click": click, "type": type_text, "press": press, "errors": errors,
        "resize": resize, "save": save,
    }  # fmt: skip
    for line in sys.stdin:
        command, *values = json.loads(line)
        try:
            answer = {"value": doing[command](*values)}
        except Exception as error:  # whoever asked is told
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
    view.close()
    view.deleteLater()
    application.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    os._exit(0)  # WebEngine may not end well


if __name__ == "__main__":
    serve()
