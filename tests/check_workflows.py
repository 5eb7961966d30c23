"""Check what a public host runs and shows: ``python tests/check_workflows.py``; nothing is asked of the network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCHEMAS = {
    "vendor.github-workflows": ".github/workflows/*.yml",
    "custom.github-workflows-require-timeout": ".github/workflows/*.yml",
    "vendor.dependabot": ".github/dependabot.yml",
    "vendor.github-issue-config": ".github/ISSUE_TEMPLATE/config.yml",
    "vendor.github-issue-forms": ".github/ISSUE_TEMPLATE/[!c]*.yml",
    "vendor.citation-file-format": "CITATION.cff",
}


def commands(root: Path = ROOT) -> list[list[str]]:
    """List the commands that check each file against its schema, and the workflows for what others could misuse."""
    programs = Path(sys.executable).parent
    found = [
        [str(programs / "check-jsonschema"), "--builtin-schema", schema, *map(str, sorted(root.glob(files)))]
        for schema, files in SCHEMAS.items()
    ]
    return [*found, [str(programs / "zizmor"), "--offline", "--quiet", str(root / ".github")]]


def main() -> int:
    """Run all of them; returns 1 where one found a fault."""
    return int(sum(subprocess.run(command, check=False).returncode for command in commands()) > 0)


if __name__ == "__main__":
    sys.exit(main())
