"""Log lines of several processes on one terminal, each prefixed with its name."""

import os
import re
import sys
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

_COLOURS = (36, 33, 32, 35, 34, 96, 93, 92)
_OWN = "up"
# In the project's logs, for people and in JSON, and in those of PostgreSQL and Python.
_TROUBLE = re.compile(
    r"\[(?:error|critical)\s*\]"
    r'|"level":\s*"(?:error|critical)"'
    r"|\b(?:ERROR|FATAL|PANIC):"
    r"|^\w*Error: "
)
_KEPT = 20


@dataclass(frozen=True)
class Trouble:
    """A line that reports an error."""

    when: str
    name: str
    text: str


class Terminal:
    """Writes whole lines, so that those of different processes do not mix."""

    def __init__(self, out: TextIO, environ: Mapping[str, str], names: tuple[str, ...]) -> None:
        self._out = out
        # https://no-color.org: any non-empty value disables colours.
        self._coloured = out.isatty() and not environ.get("NO_COLOR")
        #: Whether it is an interactive terminal, so that a browser is likely available.
        self.watched = out.isatty() and (
            sys.platform == "darwin"
            or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
        )
        self._width = max(len(name) for name in (*names, _OWN))
        self._colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}
        self._lock = threading.Lock()
        self._troubles: deque[Trouble] = deque(maxlen=_KEPT)

    def troubles(self) -> list[Trouble]:
        """The last lines that reported errors."""
        return list(self._troubles)

    def forget(self) -> None:
        """Forget the errors reported so far."""
        self._troubles.clear()

    def line(self, name: str, text: str) -> None:
        """One line of the process ``name``."""
        if _TROUBLE.search(text):
            when = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
            self._troubles.append(Trouble(when, name, text))
        label = f"{name:<{self._width}} |"
        if self._coloured:
            label = f"\x1b[{self._colours.get(name, 1)}m{label}\x1b[0m"
        self._write(f"{label} {text}\n")

    def say(self, text: str) -> None:
        """A line of `make up` itself."""
        self.line(_OWN, text)

    def block(self, text: str) -> None:
        """A separate block of text, without a name."""
        self._write(text.rstrip("\n") + "\n")

    def _write(self, text: str) -> None:
        with self._lock:
            try:
                self._out.write(text)
                self._out.flush()
            except (BrokenPipeError, ValueError):
                # The reader is gone; the processes must still be stopped in order.
                self._out = open_null()


def open_null() -> TextIO:
    """A text stream that discards everything."""
    return Path(os.devnull).open("w", encoding="utf-8")


def error(text: str) -> None:
    """The one sentence before a failing exit."""
    print(f"make up: {text}", file=sys.stderr, flush=True)
