"""Breaking changes that are made on purpose: the file `release/declared.toml`."""

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.ci.contract.changes import Change

HEAD = """\
# The breaking changes since the last release that are made on purpose. `make contract` prints the
# entry of each change that is missing here; the reason says what callers have to do.
"""


class DeclarationError(ValueError):
    """An invalid file of declarations; the message names the entry and the expected form."""


@dataclass(frozen=True)
class Verdict:
    """``undeclared`` changes and ``idle`` declarations, which match no change, fail the gate."""

    undeclared: Sequence[Change]
    idle: Sequence[str]


def read(file: Path) -> dict[str, str]:
    """The reasons by the id of the change; empty without the file. Raises DeclarationError."""
    if not file.exists():
        return {}
    try:
        entries = tomllib.loads(file.read_text(encoding="utf-8")).get("breaking", [])
    except tomllib.TOMLDecodeError as error:
        raise DeclarationError(f"{file.name}: {error}") from None
    found: dict[str, str] = {}
    for number, entry in enumerate(entries, 1):
        where = f"{file.name}: entry {number}"
        if set(entry) != {"change", "reason"}:
            raise DeclarationError(f"{where}: must have change and reason, not {sorted(entry)}")
        change, reason = entry["change"], entry["reason"]
        if not isinstance(reason, str) or len(reason.split()) < 3:
            raise DeclarationError(f"{where} ({change}): reason must have at least three words")
        if change in found:
            raise DeclarationError(f"{where}: {change} is declared twice")
        found[change] = reason
    return found


def compare(changes: Sequence[Change], declarations: dict[str, str]) -> Verdict:
    """Which breaking changes are not declared, and which declarations match none."""
    breaking = {change.id: change for change in changes if change.level == "breaking"}
    return Verdict(
        [change for id_, change in breaking.items() if id_ not in declarations],
        [id_ for id_ in declarations if id_ not in breaking],
    )


def entry(change: Change) -> str:
    """The entry that declares the change, but for its reason."""
    return f'[[breaking]]\nchange = {json.dumps(change.id, ensure_ascii=False)}\nreason = ""\n'
