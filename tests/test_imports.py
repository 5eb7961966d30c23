"""What is loaded when."""

import subprocess
import sys

from tests.conftest import REPOSITORY


def loaded(code: str) -> set[str]:
    text = f"{code}\nimport sys; print(' '.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=120)
    return set(result.stdout.split())


def test_importing_the_package_loads_no_heavy_library():
    modules = loaded("import napari_leafseg")
    assert not modules & {"torch", "napari", "transformers", "cv2", "skimage", "qtpy"}


def test_the_widgets_load_without_torch():
    modules = loaded("import napari_leafseg.widgets.images.widget, napari_leafseg.widgets.segment.widget")
    assert "napari" in modules
    assert not modules & {"torch", "transformers"}


def test_listing_models_needs_no_torch():
    assert "torch" not in loaded("from napari_leafseg.models.store.zoo import describe_model; describe_model('leaf')")


def test_idle_threads_sleep_once_models_are_imported():
    code = "import os; os.environ.pop('OMP_WAIT_POLICY', None)\nimport napari_leafseg.models\n"
    code += "assert os.environ['OMP_WAIT_POLICY'] == 'PASSIVE'"
    loaded(code)


def test_opencv_leaves_qts_variables_alone(monkeypatch, tmp_path):
    """Survive the GUI wheel, which points Qt at plug-ins of its own."""
    fake = tmp_path / "cv2.py"
    fake.write_text(
        "import os\nos.environ['QT_QPA_PLATFORM_PLUGIN_PATH'] = 'bad'\nos.environ['QT_QPA_FONTDIR'] = 'bad'\n"
    )
    code = (
        f"import os, sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "os.environ.pop('QT_QPA_PLATFORM_PLUGIN_PATH', None); os.environ['QT_QPA_FONTDIR'] = 'mine'\n"
        "import napari_leafseg._opencv\n"
        "assert 'QT_QPA_PLATFORM_PLUGIN_PATH' not in os.environ and os.environ['QT_QPA_FONTDIR'] == 'mine'\n"
    )
    assert "cv2" in loaded(code)


def test_the_public_names_are_listed_and_come_when_they_are_asked_for():
    names = {"load_model", "list_models", "Predictor", "Prediction", "measure", "Project", "finetune", "evaluate"}
    code = (
        "import sys, napari_leafseg as package\n"
        f"assert {names!r} <= set(dir(package)) & set(package.__all__)\n"
        "assert {'pipelines', 'editing', 'project', 'training'} <= set(dir(package))\n"
        "assert not {'torch', 'napari'} & set(sys.modules)\n"
        f"assert all(callable(getattr(package, name)) for name in {names!r})\n"
        "assert all(getattr(package, name) is not None for name in dir(package))\n"
        "assert issubclass(package.ModelError, package.UserError)"
    )
    assert "napari" not in loaded(code)


def test_types_are_published():
    assert (REPOSITORY / "src" / "napari_leafseg" / "py.typed").is_file()
