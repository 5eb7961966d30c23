"""What the workflows run, to be run anywhere: ``nox`` for all of it, ``nox -l`` for the list."""

import shutil

import nox

nox.needs_version = ">=2024.4"
nox.options.sessions = ["lint", "tests-3.11", "docs", "package"]
nox.options.reuse_existing_virtualenvs = True
PYTHONS = ["3.11", "3.12", "3.13"]
QT = ["pyqt5", "pyqt6"]


def pytest(session: nox.Session, qt: str, marks: str, *more: str) -> None:
    """Run the tests."""
    command = ["python", "-m", "pytest", "-n", "logical", "--maxprocesses", "4", "--dist", "loadfile", "-m", marks]
    environment = {"QT_API": qt, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    session.run(*command, *more, *session.posargs, env=environment, external=True)


@nox.session(python="3.11")
def lint(session: nox.Session) -> None:
    """Check style, types, import contracts and workflows."""
    session.install("-c", "constraints.txt", "-e", ".[pyqt6,all,dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")
    session.run("python", "tests/check_workflows.py")


@nox.session(python=PYTHONS)
@nox.parametrize("qt", QT, ids=QT)
def tests(session: nox.Session, qt: str) -> None:
    """Run the tests with the versions of constraints.txt."""
    session.install("-c", "constraints.txt", "-e", f".[{qt},all,dev]")
    pytest(session, qt, "not night")


@nox.session(python="3.11", venv_backend="uv")
def oldest(session: nox.Session) -> None:
    """Run the fast tests with the oldest versions that pyproject.toml allows."""
    session.install("--resolution", "lowest-direct", "-e", ".[pyqt5,all,dev]")
    drawn = "tests/synthetic/test_scene.py::test_sample_data_is_what_the_command_makes"  # other versions draw otherwise
    pytest(session, "pyqt5", "not slow and not gui and not train and not night", "--deselect", drawn)


@nox.session(python=PYTHONS[-1])
def newest(session: nox.Session) -> None:
    """Run the tests with the newest version of everything."""
    session.install("--upgrade", "-e", ".[pyqt6,all,dev]")
    pytest(session, "pyqt6", "not night")


@nox.session(python=PYTHONS[-1])
def nightly(session: nox.Session) -> None:
    """Run the tests with napari's newest, also before its release."""
    session.install("--upgrade", "-e", ".[pyqt6,all,dev]")
    session.install("--upgrade", "--pre", "napari[pyqt6]")
    pytest(session, "pyqt6", "not night")


@nox.session(python="3.11")
def docs(session: nox.Session) -> None:
    """Build the site without a warning, and check its links."""
    session.install("-c", "constraints.txt", "-e", ".[pyqt6,all,docs]")
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1", "QT_QPA_PLATFORM": "offscreen"})
    session.run("python", "docs/site/check.py", "build/site")


@nox.session(python="3.11")
def package(session: nox.Session) -> None:
    """Build wheel and sdist, and check what is in them."""
    session.install("-c", "constraints.txt", "build")
    shutil.rmtree("build/package", ignore_errors=True)
    session.run("python", "-m", "build", "--outdir", "build/package")
    session.run("python", "tests/check_package.py", "build/package")


@nox.session(python="3.11")
def light(session: nox.Session) -> None:
    """Install the wheel alone, without extras; see how large it is, and that window and command line work."""
    session.install("-c", "constraints.txt", "build")
    shutil.rmtree("build/light", ignore_errors=True)
    session.run("python", "-m", "build", "--wheel", "--outdir", "build/light")
    session.run("python", "tests/check_light.py", "build/light")
