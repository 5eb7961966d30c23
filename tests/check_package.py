"""Check what is in a wheel and an sdist: ``python tests/check_package.py FOLDER``."""

from __future__ import annotations

import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PARTS = {"src/napari_leafseg": "napari_leafseg", "resources": "napari_leafseg/resources",
         "sample_data": "napari_leafseg/sample_data"}  # fmt: skip
LARGEST = 100_000_000  # bytes; more the package index takes only from those who asked


def files_of(folder: Path) -> set[str]:
    """List the files below a folder that belong into a package."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def wheel_faults(path: Path) -> list[str]:
    """List what a wheel lacks, and what it should not have."""
    with zipfile.ZipFile(path) as wheel:
        there = set(wheel.namelist())
        info = next(name for name in there if name.endswith(".dist-info/METADATA")).rpartition("/")[0]
        entries = wheel.read(f"{info}/entry_points.txt").decode()
        metadata = wheel.read(f"{info}/METADATA").decode()
    wanted = {f"{place}/{name}" for folder, place in PARTS.items() for name in files_of(ROOT / folder)}
    wanted.add("napari_leafseg/leaf.svg")  # the manifest's icon
    found = [f"{path.name} lacks {name}" for name in sorted(wanted - there)]
    found += [f"{path.name} holds {name}" for name in sorted(there - wanted) if not name.startswith(f"{info}/")]
    if f"{info}/licenses/LICENSE" not in there:
        found.append(f"{path.name} lacks its license")
    for entry in ("napari_leafseg.cli:main", "napari_leafseg:napari.yaml"):
        if entry not in entries:
            found.append(f"{path.name} has no entry point {entry}")
    if f"\nVersion: {PROJECT['version']}\n" not in metadata:
        found.append(f"{path.name} is not version {PROJECT['version']}")
    return found


def sdist_faults(path: Path) -> list[str]:
    """List what an sdist lacks to be built, tested and documented."""
    with tarfile.open(path) as sdist:
        there = {PurePosixPath(*PurePosixPath(name).parts[1:]).as_posix() for name in sdist.getnames()}
    wanted = {
        f"{folder}/{name}" for folder in (*PARTS, "tests", "docs", "benchmarks") for name in files_of(ROOT / folder)
    }
    wanted |= {"pyproject.toml", "README.md", "LICENSE", "Makefile", "mkdocs.yml", "noxfile.py", "CITATION.cff"}
    wanted |= {path.name for path in ROOT.glob("*.md")}
    return [f"{path.name} lacks {name}" for name in sorted(wanted - there)]


def faults(folder: Path) -> list[str]:
    """List what is wrong with the packages of a folder."""
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    found = [] if len(wheels) == len(sdists) == 1 else [f"{folder} holds {len(wheels)} wheels and {len(sdists)} sdists"]
    for path in [*wheels, *sdists]:
        found += wheel_faults(path) if path.suffix == ".whl" else sdist_faults(path)
        if path.stat().st_size > LARGEST:
            found.append(f"{path.name} has {path.stat().st_size / 1e6:.0f} MB")
    return found


def main() -> None:
    """Print the faults; exit with 1 where there are any."""
    found = faults(Path(sys.argv[1]))
    print("\n".join(found) or f"{sys.argv[1]}: wheel and sdist hold what they should.")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
