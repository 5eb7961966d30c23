"""Install the wheel of a folder without extras, and see what comes with it: ``python tests/check_light.py FOLDER``.

The folder holds a wheel; an environment is made beside it. Whatever is wrong is printed, and the exit status is 1 then.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
MOST = 400  # MB that this package may add to PyTorch, napari and Qt
QT = {"pyqt5", "pyqt5-qt5", "pyqt5-sip"}
TOOLS = {"pip", "setuptools", "packaging"}


def plain(name: str) -> str:
    """Write a package's name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed_by(name: str, there: dict[str, importlib.metadata.Distribution]) -> set[str]:
    """Name the packages of an environment that one of them needs, and itself."""
    waiting, seen = [(plain(name), frozenset[str]())], set()
    while waiting:
        one = waiting.pop()
        if one in seen or one[0] not in there:
            continue
        seen.add(one)
        for text in there[one[0]].requires or []:
            wanted = Requirement(text)
            marker = wanted.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*one[1], "")):
                waiting.append((plain(wanted.name), frozenset(wanted.extras)))
    return {package for package, _ in seen}


def megabytes(distribution: importlib.metadata.Distribution) -> float:
    """Measure a package on the disk, what was compiled of it included."""
    places = [Path(str(file.locate())) for file in distribution.files or []]
    return sum(place.stat().st_size for place in places if place.is_file()) / 1e6


def sizes() -> dict[str, dict[str, float]]:
    """Measure this environment's packages, by what brings them."""
    there = {plain(found.metadata["Name"]): found for found in importlib.metadata.distributions()}
    torch = needed_by("torch", there)
    groups = {"PyTorch": torch, "napari": needed_by("napari", there) - torch - QT, "Qt": QT & set(there)}
    groups["napari-leafseg"] = set(there) - set().union(*groups.values()) - TOOLS
    return {group: {name: megabytes(there[name]) for name in names} for group, names in groups.items()}


def table(found: dict[str, dict[str, float]]) -> str:
    """Write sizes as lines, the largest packages by name."""
    lines = []
    for group, packages in found.items():
        largest = sorted(packages, key=lambda name: -packages[name])[:5]
        names = ", ".join(f"{name} {packages[name]:.0f}" for name in largest)
        lines.append(f"{group}: {sum(packages.values()):.0f} MB ({names})")
    return "\n".join(lines)


def optional(extras: dict[str, list[str]]) -> set[str]:
    """Name the packages that extras bring, as the index compares them."""
    wanted = [Requirement(text) for texts in extras.values() for text in texts]
    return {plain(item.name) for item in wanted} - {"napari", "napari-leafseg", "dask"}


class Environment:
    """A new environment, and what went wrong in it.

    Parameters
    ----------
    folder : pathlib.Path
        Gets the environment, and is where commands run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.faults = folder, list[str]()
        place = folder / "venv"
        shutil.rmtree(place, ignore_errors=True)
        venv.create(place, with_pip=True)
        programs = (place / "bin/python", place / "Scripts/python.exe")
        self.python = str(next(path for path in programs if path.exists()).absolute())

    def run(self, *words: str, code: int = 0, first: tuple[str, ...] = ()) -> str:
        """Run Python with some words; returns what it says, and notes it where it ends otherwise than it should."""
        own = {"XDG_DATA_HOME": "data", "XDG_CONFIG_HOME": "settings", "PYTHONPATH": ""}
        environment = {**os.environ, **{name: value and str(self.folder / value) for name, value in own.items()}}
        command = [*first, self.python, *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, env=environment, check=False)
        said = done.stdout + done.stderr
        if done.returncode != code:
            self.faults.append(f"{' '.join(words)} ended with {done.returncode}: {said[-2000:]}")
        return said

    def install(self, *what: str) -> None:
        """Install packages, of the versions that are tested together."""
        self.run("-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), *what)


def check_sizes(place: Environment) -> None:
    """Measure what came, and name what an extra should have brought."""
    measured = json.loads(place.run(str(Path(__file__).resolve()), "--sizes").splitlines()[-1])
    print(table(measured), flush=True)
    own = sum(measured["napari-leafseg"].values())
    if own > MOST:
        place.faults.append(f"napari-leafseg adds {own:.0f} MB, more than {MOST}")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    users = {name: texts for name, texts in project["optional-dependencies"].items() if name not in {"dev", "docs"}}
    installed = {name for packages in measured.values() for name in packages}
    place.faults += [f"{name} is of an extra, and came all the same" for name in sorted(installed & optional(users))]


def check_words(place: Environment) -> None:
    """See that what is missing is named with the extra that brings it."""
    place.run("-c", "import napari_leafseg, sys; assert not {'torch', 'napari'} & set(sys.modules)")
    extras = json.loads(place.run("-m", "napari_leafseg", "info", "--json"))["extras"]
    place.faults += [f"info does not say what brings {name}" for name, words in extras.items() if "[" not in words]
    if "napari-leafseg[pyqt5]" not in "".join(place.run("-m", "napari_leafseg", "demo", code=2).split()):
        place.faults.append("a window without Qt does not name the extra that brings it")


def check(folder: Path) -> list[str]:
    """Install the wheel without, then with a binding of Qt; list what is wrong."""
    wheel = next(folder.glob("*.whl")).resolve()
    place = Environment(folder.resolve())
    place.install(str(wheel), "packaging")
    if not place.faults:
        check_sizes(place)
        check_words(place)
        place.install(f"napari-leafseg[pyqt5] @ {wheel.as_uri()}")
        bare = not os.environ.get("DISPLAY") and shutil.which("xvfb-run")
        screen = ("xvfb-run", "-a", "-s", "-screen 0 1600x1000x24") if bare else ()
        place.run("-m", "napari_leafseg", "demo", "--output", "shown", first=screen)
        if not (folder / "shown/screenshot.png").exists():
            place.faults.append("the window did not do the demonstration")
    return place.faults


def main() -> int:
    """Print sizes and faults; returns 1 where there are faults."""
    if sys.argv[1] == "--sizes":
        print(json.dumps(sizes()))
        return 0
    found = check(Path(sys.argv[1]))
    print("\n".join(found) or "A light installation works, and names what it lacks.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
