"""Log levels per logger, from settings and from a file that is watched at run time.

The file is checked every few seconds, so that a mounted ConfigMap or an edit changes the levels of
all processes without a restart. If the file is emptied, the settings apply again.
"""

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

from fastapi_base.core.config.observability import LogSettings, parse_level
from fastapi_base.core.runtime import background

log = logging.getLogger(__name__)
INTERVAL_SECONDS = 2.0


class Levels:
    """The log levels of this process."""

    def __init__(self, settings: LogSettings, interval: float = INTERVAL_SECONDS) -> None:
        self._file = settings.levels_file
        self._settings = {"": settings.level, **dict(map(parse_level, settings.levels))}
        self._interval = interval
        self._set: dict[str, int] = {}
        self._seen: tuple[int, int] | None = None

    def apply(self) -> None:
        """Set the levels from the settings and the file; the file takes precedence."""
        wanted = {**self._settings, **self._read()}
        for name in self._set.keys() - wanted.keys():
            logging.getLogger(name).setLevel(self._set.pop(name))
        for name, level in wanted.items():
            logger = logging.getLogger(name)
            self._set.setdefault(name, logger.level)
            logger.setLevel(level)

    def watch(self) -> None:
        """Watch the file from a background thread, if one is configured."""
        if self._file:
            background.thread("log-levels", self._watch)

    def changed(self) -> bool:
        """Whether the file has changed since the last call; its removal counts as a change."""
        before, self._seen = self._seen, self._stamp()
        return before != self._seen

    def _watch(self) -> None:
        pause = threading.Event()
        while True:
            if self.changed():
                self.apply()
            pause.wait(self._interval)

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = Path(str(self._file)).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size

    def _read(self) -> dict[str, str]:
        try:
            # Undecodable bytes become a line that cannot be parsed.
            text = self._file.read_text("utf-8", "replace") if self._file else ""
        except OSError:
            return {}
        return dict(_parsed(text.splitlines()))


def _parsed(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        if line.strip() and not line.startswith("#"):
            try:
                yield parse_level(line)
            except ValueError as error:
                # An invalid edit of the file must not stop a running service.
                log.warning("LOG_LEVELS_FILE: %s", error)
