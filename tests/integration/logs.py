"""The JSON logs of processes, which may still be running."""

import json
from pathlib import Path
from typing import Any


def events(log: Path) -> list[dict[str, Any]]:
    """The events of a log."""
    return parsed(log.read_text("utf-8", "replace"))


def parsed(text: str) -> list[dict[str, Any]]:
    """The events in a text.

    Lines in other formats are left out, and so is the text after the last newline: the process may
    be writing it.
    """
    lines = text.split("\n")[:-1]
    return [json.loads(line) for line in lines if line.startswith("{")]
