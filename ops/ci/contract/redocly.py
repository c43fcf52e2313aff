"""The differences that the `diff` command of Redocly CLI finds, rated by their effect on callers.

It knows the direction of each schema: a request may only become wider, and a response narrower.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from ops.ci import node
from ops.ci.contract.description import Json

_ROOT = Path(__file__).resolve().parents[3]


def differences(old: Json, new: Json) -> list[dict[str, Any]]:
    """Each difference, as the report of Redocly describes it. Raises ToolError."""
    programs = node.programs(_ROOT, "redocly")
    with tempfile.TemporaryDirectory(prefix="contract-") as place:
        folder = Path(place)
        for name, document in (("old.json", old), ("new.json", new)):
            (folder / name).write_text(json.dumps(document), encoding="utf-8")
        # In a folder without a configuration of Redocly, all its rules apply.
        command = [f"{programs}/redocly", "diff", "old.json", "new.json"]
        environ = {**node.QUIET, **node.path(programs)}
        report = node.run([*command, "--format=json", "--fail-on=none"], folder, environ)
    found: list[dict[str, Any]] = json.loads(report)["changes"]
    return found
