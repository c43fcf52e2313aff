"""The differences that the `diff` command of Redocly CLI finds, rated by their effect on callers.

It knows the direction of each schema: a request may only become wider, and a response narrower.
"""

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ops.ci.contract.description import Json

_ROOT = Path(__file__).resolve().parents[3]
# It sends no usage data, and does not look for newer versions of itself.
_QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1"}


class ToolError(RuntimeError):
    """Redocly could not be installed or run; the message is its output."""


def differences(old: Json, new: Json) -> list[dict[str, Any]]:
    """Each difference, as the report of Redocly describes it. Raises ToolError."""
    programs = _run(["ops/build/bootstrap/npm.sh", "redocly"], _ROOT, {}).strip()
    with tempfile.TemporaryDirectory(prefix="contract-") as place:
        folder = Path(place)
        for name, document in (("old.json", old), ("new.json", new)):
            (folder / name).write_text(json.dumps(document), encoding="utf-8")
        # In a folder without a configuration of Redocly, all its rules apply.
        command = [f"{programs}/redocly", "diff", "old.json", "new.json"]
        path = {"PATH": f"{programs}:{os.environ.get('PATH', os.defpath)}"}
        report = _run([*command, "--format=json", "--fail-on=none"], folder, {**_QUIET, **path})
    found: list[dict[str, Any]] = json.loads(report)["changes"]
    return found


def _run(command: list[str], folder: Path, environ: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ToolError(f"{Path(command[0]).name} failed: {done.stderr.strip() or done.stdout}")
    return done.stdout
