"""Print what the site is built with: the requirements of the extra ``docs``, a line each."""

import tomllib
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
print("\n".join(PROJECT["optional-dependencies"]["docs"]))
