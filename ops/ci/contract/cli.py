"""`make contract`: what the working tree changes for callers since the last release."""

import argparse
import datetime
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.ci.contract import changes, declared, description
from ops.ci.contract.description import Json
from ops.ci.node import ToolError

FOLDER = Path(__file__).parent / "release"
DECLARED = "ops/ci/contract/release/declared.toml"
NO_RELEASE = (
    "contract: no release is recorded, so every change is allowed. Record the first one with\n"
    "  make contract RELEASE=1"
)


@dataclass(frozen=True)
class Report:
    """``text`` for people; ``passes`` unless breaking changes and declarations differ."""

    text: str
    passes: bool


def report(folder: Path, new: Json, today: datetime.date) -> Report:
    """Compare with the release in the folder. Raises ToolError and DeclarationError."""
    released = folder / "description.json"
    if not released.exists():
        return Report(NO_RELEASE, passes=True)
    old = description.read(released)
    found = changes.between(old, new, today)
    verdict = declared.compare(found, declared.read(folder / "declared.toml"))
    lines = [change.line for change in found] or ["Callers notice no change."]
    lines.insert(0, f"Changes since the release of {old['info']['version']}:")
    if verdict.undeclared:
        lines += ["", f"Keep these working, or declare them in {DECLARED}:", ""]
        lines += [declared.entry(change) for change in verdict.undeclared]
    lines += [f"Declared, but not a breaking change: {id_}" for id_ in verdict.idle]
    return Report("\n".join(lines), passes=not (verdict.undeclared or verdict.idle))


def release(folder: Path, new: Json) -> None:
    """Take over the description as that of the release, and empty the declarations."""
    fresh = folder / "description.json.new"
    fresh.write_text(description.dumped(new), encoding="utf-8")
    fresh.replace(folder / "description.json")
    (folder / "declared.toml").write_text(declared.HEAD, encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """0 if the gate passes, 1 if it does not, 2 if it could not be run."""
    parser = argparse.ArgumentParser(prog="make contract", description=__doc__)
    parser.add_argument("--release", action="store_true", help="take over the description")
    given = parser.parse_args(arguments)
    present = description.present()
    if given.release:
        release(FOLDER, present)
        print(f"contract: recorded the description of {present['info']['version']}")
        return 0
    try:
        found = report(FOLDER, present, datetime.datetime.now(datetime.UTC).date())
    except (ToolError, declared.DeclarationError) as error:
        print(f"contract: {error}", file=sys.stderr)
        return 2
    print(found.text)
    return 0 if found.passes else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
