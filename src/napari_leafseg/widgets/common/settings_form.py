"""Forms made of typed settings: a control for each field, by its type and what its annotation says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from magicgui.types import FileDialogMode
from magicgui.widgets import CheckBox, FileEdit, FloatSpinBox, create_widget
from magicgui.widgets.bases import ValuedContainerWidget
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QWidget

from napari_leafseg.models.store.zoo import list_models
from napari_leafseg.widgets.common.fold import Fold

_Settings = TypeVar("_Settings")
_OF_SPIN_BOX = {"suffix": "setSuffix", "special": "setSpecialValueText"}


class FolderEdit(FileEdit):
    """Take a folder as text, typed or chosen; it need not exist yet."""

    def __init__(self, placeholder: str = "", **kwargs: Any) -> None:
        super().__init__(mode=FileDialogMode.EXISTING_DIRECTORY, **kwargs)
        self.choose_btn.text = "Folder …"
        self.line_edit.native.setPlaceholderText(placeholder)

    def get_value(self) -> Any:
        """Return the text."""
        return self.line_edit.value.strip()

    def set_value(self, value: Any) -> None:
        """Show a text."""
        self.line_edit.value = str(value)


class CheckBoxes(ValuedContainerWidget[tuple[str, ...]]):
    """Choose any number of things.

    Parameters
    ----------
    choices : sequence of (str, str)
        Titles and names.
    """

    def __init__(self, choices: Sequence[tuple[str, str]], value: Any = (), **kwargs: Any) -> None:
        boxes = [CheckBox(name=name) for _, name in choices]
        super().__init__(widgets=boxes, labels=False, **kwargs)
        self.margins = (0, 0, 0, 0)
        self.native.layout().setSpacing(2)
        self.boxes = boxes
        for box, (title, name) in zip(boxes, choices, strict=True):
            box.native.setObjectName(name)
            box.native.setText(title)  # as it is: magicgui takes "_" for a space
            box.changed.connect(lambda _on: self.changed.emit(self.get_value()))
        self.set_value(value if isinstance(value, tuple) else ())

    def get_value(self) -> tuple[str, ...]:
        """Return the names that are ticked."""
        return tuple(box.name for box in self.boxes if box.value)

    def set_value(self, value: Any) -> None:
        """Choose these names."""
        for box in self.boxes:
            box.value = box.name in value


class SettingsForm(QWidget, Generic[_Settings]):
    """Show a dataclass of settings as controls.

    A field's annotation, ``Annotated[type, {...}]``, holds what magicgui takes (label, tooltip, choices, …); "suffix"
    and "special" for number boxes; and "advanced" for what is rarely needed.

    Parameters
    ----------
    settings : dataclass
        What is shown at first.

    Signals
    -------
    changed()
        Somebody changed a value.
    """

    changed = Signal()

    def __init__(self, settings: _Settings, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._kind, self._controls = type(settings), dict[str, Any]()
        self._rows, rare = QFormLayout(self), Fold("Advanced")
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        rare_rows = QFormLayout(rare.content)
        rare_rows.setContentsMargins(0, 0, 0, 0)
        for name, hint in get_type_hints(self._kind, include_extras=True).items():
            kind, options = get_args(hint) if get_origin(hint) is Annotated else (hint, {})
            control = self._controls[name] = _control(name, kind, options)
            label = "" if kind is bool else control.label
            (rare_rows if options.get("advanced") else self._rows).addRow(label, control.native)
            control.changed.connect(lambda _value: self.changed.emit())
        if rare_rows.rowCount():
            self._rows.addRow(rare)
        self.show_settings(settings)

    def native(self, name: str) -> Any:
        """Return the Qt control of a field; the text of a folder."""
        control = self._controls[name]
        return control.line_edit.native if isinstance(control, FolderEdit) else control.native

    def show_row(self, name: str, shown: bool) -> None:
        """Show or hide a field."""
        native = self._controls[name].native
        for part in (native, self._rows.labelForField(native)):
            if part is not None:
                part.setVisible(shown)

    def settings(self) -> _Settings:
        """Return what is shown."""
        return self._kind(**{name: control.value for name, control in self._controls.items()})

    def show_settings(self, settings: _Settings) -> None:
        """Show settings; a choice that is not there any more is left as it is."""
        for name, value in vars(settings).items():
            if value in getattr(self._controls[name], "choices", (value,)):
                self._controls[name].value = value


def model_field(**options: Any) -> dict[str, Any]:
    """Return the annotation of a field that names a model."""
    return {"widget_type": "ComboBox", "choices": lambda *_box: list_models(), **options}


class WholeSpinBox(FloatSpinBox):
    """Take a whole number; unlike magicgui's own, it can have a text for its lowest value."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "step": 1})
        self.native.setDecimals(0)

    def get_value(self) -> Any:
        """Return the number."""
        return int(super().get_value())


def _control(name: str, kind: Any, options: Mapping[str, Any]) -> Any:
    known = {key: value for key, value in options.items() if key not in (*_OF_SPIN_BOX, "label", "advanced")}
    widget_type = known.pop("widget_type", WholeSpinBox if kind is int else None)
    label = options.get("label")
    control: Any = create_widget(annotation=kind, name=name, label=label, widget_type=widget_type, options=known)
    for key in _OF_SPIN_BOX.keys() & options.keys():
        getattr(control.native, _OF_SPIN_BOX[key])(options[key])
    (control.line_edit if isinstance(control, FolderEdit) else control).native.setObjectName(name)
    return control
