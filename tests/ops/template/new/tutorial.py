"""The blocks of docs/tutorial.md, and what runs and applies them."""

import os
import re
from pathlib import Path

from ops.dev import places

PAGE = Path("docs/tutorial.md")
_BLOCK = re.compile(r"^```(bash|diff) (tutorial|up)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILES = re.compile(r"--- a/(\S+)\n\+\+\+ b/\1\n")


def blocks() -> list[tuple[str, str, str]]:
    """The language, the label and the text of each block that readers run or apply."""
    return _BLOCK.findall(PAGE.read_text(encoding="utf-8"))


def patch(root: Path, diff: str) -> None:
    """Apply a diff whose hunks have no line numbers: each context occurs once."""
    _, *parts = _FILES.split(diff)
    assert parts
    for name, hunks in zip(parts[::2], parts[1::2], strict=True):
        text = (root / name).read_text(encoding="utf-8")
        for hunk in re.split(r"^@@\n", hunks, flags=re.MULTILINE)[1:]:
            lines = hunk.splitlines(keepends=True)
            old = "".join(line[1:] or "\n" for line in lines if line[0] != "+")
            new = "".join(line[1:] or "\n" for line in lines if line[0] != "-")
            assert text.count(old) == 1, hunk
            text = text.replace(old, new)
        (root / name).write_text(text, encoding="utf-8")


def environ(**more: str) -> dict[str, str]:
    """The environment of a person, with the caches of this machine."""
    dropped = ("PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "TEST_SERVERS")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "FASTAPI_BASE_CACHE": str(places.cache()), **more}
