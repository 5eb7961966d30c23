"""What people chose: typed, found again, also under the keys of earlier versions and in a damaged file."""

import pytest
from qtpy.QtCore import QSettings

from napari_leafseg.widgets.batch.widget import BatchForm
from napari_leafseg.widgets.images.export_dialog import ExportSettings
from napari_leafseg.widgets.state.preferences import Preferences, preferences


@pytest.fixture
def file():
    """The settings as they lie in the file."""
    return QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, "napari-leafseg", "widgets")


CHOICES = {
    "model": "other", "device": "cpu", "tta": "thorough", "scale_auto": False, "scale": 55.0, "outline": False,
    "angle": 30.0, "images_folder": "/a", "project_folder": "/b",
}  # fmt: skip


@pytest.mark.parametrize("name", list(CHOICES))
def test_every_choice_is_found_again_in_its_type(name, file):
    default = getattr(preferences, name)
    assert default != CHOICES[name]
    assert type(default) is type(CHOICES[name])
    setattr(preferences, name, CHOICES[name])
    file.sync()
    found = getattr(Preferences(), name)
    assert found == CHOICES[name]
    assert type(found) is type(default)


@pytest.mark.parametrize(
    ("group", "settings"),
    [
        ("batch", BatchForm("c", "d", "e", 12.5, 3)),
        ("export", ExportSettings(("coco", "tiff"), "reviewed", "/f")),
        ("export", ExportSettings((), "this", "")),
    ],
)
def test_every_field_of_a_form_is_found_again_in_its_type(group, settings, file):
    assert preferences.filled(group, type(settings)()) == type(settings)()
    preferences.keep(group, settings)
    file.sync()
    assert Preferences().filled(group, type(settings)()) == settings


def test_what_cannot_be_read_is_the_default(file):
    file.setValue("segment/scale", "wide")
    file.setValue("batch/workers", "two")
    file.setValue("tunables/leaf/angle", "steep")
    file.sync()
    assert preferences.scale == 100.0
    assert preferences.filled("batch", BatchForm()).workers == 0
    assert preferences.parameter("leaf", "angle") is None


def test_keys_of_earlier_versions_are_read(file):
    file.setValue("segment/looks", "thorough")
    file.setValue("tunables/leaf/smallest_working", 25)
    file.sync()
    assert preferences.tta == "thorough"
    assert preferences.parameter("leaf", "min_area_working") == 25.0
    preferences.tta = "quick"
    preferences.keep_parameters("leaf", {"min_area_working": 9.0})
    assert preferences.tta == "quick"
    assert preferences.parameter("leaf", "min_area_working") == 9.0


def test_parameters_are_kept_by_model_and_forgotten():
    preferences.keep_parameters("leaf", {"angle": 44.0})
    assert preferences.parameter("leaf", "angle") == 44.0
    assert preferences.parameter("other", "angle") is None
    preferences.keep_parameters("leaf", {"angle": None})
    assert preferences.parameter("leaf", "angle") is None
    preferences.keep_speed("leaf", "cpu", 1.2345)
    assert preferences.speed("leaf", "cpu") == 1.23
    assert preferences.speed("leaf", "cuda") is None
