"""`make new NAME=customer-portal-api`: creates the repository of a new service from this one."""

import shlex
import signal
import sys
from pathlib import Path
from types import FrameType

from ops.template.formatting import ruff
from ops.template.new import names, repository

_ROOT = Path(__file__).resolve().parents[3]
# A longer name can make lines longer than their limit that no formatter splits.
_TOO_LONG = ("check", "--select", "E501", "--add-noqa")
_USAGE = """usage: make new NAME=customer-portal-api [INTO=FOLDER] [DESCRIPTION="One sentence."]
                [PRESET=minimal|standard|full] [WITHOUT=SLICE,SLICE]

  NAME         the service: lower-case words with dashes. Its package has underscores instead.
  INTO         the folder to create, relative to this repository (default: ../NAME)
  DESCRIPTION  what the service does, for its README and its API
  PRESET       full: every slice (default); standard: without examples; minimal: no slice
  WITHOUT      slices to leave out; `make slices` lists them

In the folder of an earlier run, it commits this version to the branch `base`."""


def main(arguments: list[str]) -> int:
    """Takes the five values of the usage. Exits with status 2 and a sentence if one is invalid."""
    name, into, description, without, preset = (*arguments, *([""] * 5))[:5]
    wanted = repository.Wanted(name, description, without, preset)
    if not name:
        print(_USAGE, file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    chosen = Path(into or f"../{names.distribution(name)}")
    unformatted = ""

    def formatter(folder: Path) -> None:
        nonlocal unformatted
        try:
            ruff.format_tree(folder, ruff.program(_ROOT), _TOO_LONG)
        except ruff.FormatError as error:
            unformatted = str(error)

    try:
        made = repository.make(_ROOT, chosen, wanted, formatter)
    except names.NewError as error:
        print(f"make new: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("make new: interrupted; nothing was created", file=sys.stderr)
        return 130
    print(_report(made, wanted, unformatted))
    return 0


def _report(made: repository.Made, wanted: repository.Wanted, unformatted: str) -> str:
    name = wanted.name
    format_first = ["make fmt"] if unformatted else []
    if made.updated:
        done = f"The branch `base` of {made.folder} is up to date."
        steps = ["git merge base", "make fmt check test"]
    else:
        done = f"Created {made.folder}, with the package `{names.package(name)}`."
        renewed = ["make clients"] if wanted.without or wanted.preset else []
        steps = [*format_first, *renewed, "make up", "make test"]
    note = f"\nThe code is not formatted yet: {unformatted}" if unformatted else ""
    if not made.updated:
        note += "\nLICENSE is the one of the base: keep its notice, and add your own."
    lines = "".join(f"\n  {step}" for step in [f"cd {shlex.quote(str(made.folder))}", *steps])
    return f"{done}{note}\n\nNext:\n{lines}"


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
