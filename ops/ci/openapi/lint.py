"""`make lint-openapi`: Redocly and Spectral read the description of this tree's application."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ops.ci import node
from ops.ci.contract import description

ROOT = Path(__file__).resolve().parents[3]
_RULES = Path("ops/ci/openapi")
_FILE = "dist/openapi.json"
#: Each linter: the lock of its packages, and its command line. Warnings fail both.
LINTERS = {
    "redocly": ("redocly", "lint", "--format=stylish", f"--config={_RULES}/redocly.yaml", _FILE),
    "spectral": ("spectral", "lint", "--fail-severity=warn", f"-r={_RULES}/spectral.yaml", _FILE),
}
# What only a deployment can name, and the linters want.
_ABOUT = {
    "contact": {"name": "Support", "url": "https://example.com/support"},
    "license": {"name": "MIT", "url": "https://example.com/license"},
}


def findings(linter: str, document: description.Json, root: Path = ROOT) -> str:
    """What a linter says; empty if it finds nothing, warnings included."""
    done = subprocess.run(
        [root / "ops/build/bootstrap/npm.sh", linter], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return f"{linter} cannot be installed: {done.stderr}"
    programs = done.stdout.strip()
    with tempfile.TemporaryDirectory(prefix="openapi-") as place:
        folder = Path(place)
        # The exceptions name the description by its path from there.
        shutil.copytree(root / _RULES, folder / _RULES)
        (folder / _FILE).parent.mkdir()
        named = {**document, "info": {**document["info"], **_ABOUT}}
        (folder / _FILE).write_text(json.dumps(named, indent=2), encoding="utf-8")
        program, *arguments = LINTERS[linter]
        done = subprocess.run(
            [f"{programs}/{program}", *arguments],
            cwd=folder,
            env={**os.environ, **node.QUIET, **node.path(programs)},
            capture_output=True,
            text=True,
            check=False,
        )
    said = done.stdout + done.stderr
    return said if done.returncode or "warning" in said.lower() else ""


def main() -> int:
    """0 if both find nothing, else 1."""
    document = description.complete()
    found = [said for linter in LINTERS if (said := findings(linter, document))]
    print("\n".join(found) or f"{' and '.join(LINTERS)} found nothing.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
