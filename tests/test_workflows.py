"""What a public host runs is what there is; a package is whole, a release is of the tag's version."""

import ast
import re
import shlex
import tarfile
import tomllib
import zipfile

import npe2
import pytest
import yaml

from tests import check_package, check_release, check_workflows
from tests.conftest import REPOSITORY
from tests.test_docs_commands import TARGETS, check

SETTINGS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, BUILD = SETTINGS["project"], SETTINGS["tool"]["hatch"]["build"]
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (REPOSITORY / ".github/workflows").glob("*.yml")}
NOX = ast.parse((REPOSITORY / "noxfile.py").read_text(encoding="utf-8"))
SESSIONS = {node.name for node in NOX.body if isinstance(node, ast.FunctionDef) and node.decorator_list}
PYTHONS = [item.rpartition(" ")[2] for item in PROJECT["classifiers"] if re.fullmatch(r".*:: 3\.\d+", item)]


def constant(name):
    return next(
        ast.literal_eval(node.value)
        for node in NOX.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name
    )


def commands(workflow):
    return [step["run"] for job in workflow["jobs"].values() for step in job.get("steps", []) if "run" in step]


def matrix(workflow, job):
    return WORKFLOWS[workflow]["jobs"][job]["strategy"]["matrix"]["include"]


@pytest.mark.parametrize("name", sorted(WORKFLOWS))
def test_a_workflow_runs_what_there_is(name):
    assert WORKFLOWS[name]["permissions"] == {"contents": "read"}
    for command in commands(WORKFLOWS[name]):
        words = shlex.split(re.sub(r"\$\{\{.*?\}\}", "$", command.removeprefix("sudo ")))
        if words[0] == "make":
            assert set(words[1:]) <= TARGETS
        elif words[0] == "pipx":
            sessions = {re.match(r"\w*", word)[0] for word in words[words.index("-s") + 1 :]}
            assert sessions <= {*SESSIONS, ""}  # "" is one of the matrix
        elif words[0] in {"pip", ".venv/bin/pre-commit", ".venv/bin/python"}:
            check(command)
        elif words[0] == "python":
            assert (REPOSITORY / words[1]).is_file()
        else:
            assert words[0] == "gh" or (REPOSITORY / words[0]).is_file()


def test_what_a_host_reads_is_checked_against_its_schema():
    checked = {word for command in check_workflows.commands() for word in command}
    files = {str(path) for path in (REPOSITORY / ".github").rglob("*.yml") if path.name != "zizmor.yml"}
    assert files <= checked
    for use in ("Makefile", "noxfile.py", ".pre-commit-config.yaml"):
        assert "tests/check_workflows.py" in (REPOSITORY / use).read_text(encoding="utf-8")


def test_root_installs_what_windows_need_before_tests_run():
    """Only root may install them: a host's jobs are run by somebody else."""
    for name, workflow in WORKFLOWS.items():
        for job in workflow["jobs"].values():
            run = [step["run"] for step in job.get("steps", []) if "run" in step]
            first = next((place for place, line in enumerate(run) if re.search(r"make |nox|\.ci/run", line)), None)
            if first is not None and name != "publish":
                assert run[first] == "sudo make system"


def test_the_workflows_are_all_there():
    assert set(WORKFLOWS) == {"ci", "docs", "nightly", "publish"}
    assert ".ci/run" in commands(WORKFLOWS["ci"])
    assert {item["session"] for item in matrix("ci", "versions")} == {"oldest", "newest"}
    assert WORKFLOWS["publish"]["jobs"]["index"]["permissions"] == {"id-token": "write"}


def test_every_system_python_and_qt_is_tested():
    tested = matrix("ci", "tests")
    assert {item["os"].partition("-")[0] for item in tested} == {"ubuntu", "macos", "windows"}
    assert {item["python"] for item in tested} == set(constant("PYTHONS")) == set(PYTHONS)
    for system in ("ubuntu", "macos", "windows"):
        assert {item["qt"] for item in tested if item["os"].startswith(system)} == set(constant("QT"))
    page = (REPOSITORY / "docs" / "installation.md").read_text(encoding="utf-8")
    assert f"| Python | {', '.join(PYTHONS)} |" in page
    assert PROJECT["requires-python"] == f">={PYTHONS[0]}"


def test_issue_templates_are_whole():
    for path in (REPOSITORY / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.stem != "config":
            assert {"name", "description", "body"} <= set(form)
            assert len({item["id"] for item in form["body"]}) == len(form["body"])


def test_a_release_has_the_notes_of_its_version(tmp_path):
    assert check_release.notes(f"v{PROJECT['version']}")
    with pytest.raises(ValueError, match=r"tag is v9, pyproject"):
        check_release.notes("v9")
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "2.0"\n')
    (tmp_path / "CITATION.cff").write_text("title: x\nversion: 1.0\n")
    with pytest.raises(ValueError, match=r"CITATION\.cff"):
        check_release.notes("v2.0", tmp_path)
    (tmp_path / "CITATION.cff").write_text("title: x\nversion: 2.0\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 2.0\n\n- New.\n\n## 1.0\n\n- Old.\n")
    assert check_release.notes("v2.0", tmp_path) == "- New."
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.0\n\n- Old.\n")
    with pytest.raises(ValueError, match="says nothing"):
        check_release.notes("v2.0", tmp_path)


def test_what_a_package_lacks_is_found(tmp_path):
    name = f"napari_leafseg-{PROJECT['version']}"
    with zipfile.ZipFile(tmp_path / f"{name}-py3-none-any.whl", "w") as wheel:
        info = f"{name}.dist-info"
        wheel.writestr(f"{info}/METADATA", f"Name: napari-leafseg\nVersion: {PROJECT['version']}\n")
        wheel.writestr(f"{info}/entry_points.txt", "napari-leafseg = napari_leafseg.cli:main")
        wheel.writestr("tests/x.py", "")
    with tarfile.open(tmp_path / f"{name}.tar.gz", "w:gz") as sdist:
        sdist.add(REPOSITORY / "pyproject.toml", f"{name}/pyproject.toml")
    found = "\n".join(check_package.faults(tmp_path))
    assert "whl lacks napari_leafseg/resources/models/leaf.safetensors" in found
    assert "whl lacks napari_leafseg/sample_data/growth/day01.png" in found
    assert "whl lacks its license" in found
    assert "whl has no entry point napari_leafseg:napari.yaml" in found
    assert "entry point napari_leafseg.cli:main" not in found
    assert "whl holds tests/x.py" in found
    assert "tar.gz lacks README.md" in found
    assert "tar.gz lacks pyproject.toml" not in found
    assert check_package.faults(tmp_path / "none")


def test_the_manifest_says_what_the_plugin_is():
    manifest = npe2.PluginManifest.from_file(REPOSITORY / "src" / "napari_leafseg" / "napari.yaml")
    assert set(manifest.categories) == {"Segmentation", "Annotation", "Measurement"}
    package, _, name = manifest.icon.partition(":")
    included = BUILD["targets"]["wheel"]["force-include"]
    assert f"{package}/{name}" in included.values()
    assert all((REPOSITORY / source).exists() for source in included)


def test_only_what_breaks_has_an_upper_bound():
    extras = PROJECT["optional-dependencies"].values()
    capped = {item for item in [*PROJECT["dependencies"], *(item for extra in extras for item in extra)] if "<" in item}
    assert {re.match(r"[\w-]+(\[\w+\])?", item)[0] for item in capped} == {"napari[pyqt5]", "mkdocs"}
    lines = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    for item in capped:
        place = next(number for number, line in enumerate(lines) if item in line)
        assert "#" in lines[place] or lines[place - 1].startswith("#"), f"{item}: say what breaks"
