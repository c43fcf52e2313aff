"""What the Makefile of a small template runs: `python -m ... NAME INTO` in the template."""

import sys
from pathlib import Path

from ops.template.new.repository import Wanted, make


def unformatted(_: Path) -> None:
    """Formats nothing."""


if __name__ == "__main__":
    if Path("broken").exists():
        sys.exit("the base does not work")
    make(Path.cwd(), Path(sys.argv[2]), Wanted(sys.argv[1]), unformatted)
