"""Levels of loggers: by setting, and by a file while the service runs.

The file is looked at again every few seconds, so that a mounted ConfigMap, or an editor, changes
what all processes log without a restart. When it is emptied, the settings count again.
"""

import logging
import threading
from collections.abc import Iterable
from pathlib import Path

from fastapi_base.core.config_observability import LogSettings, parse_level

log = logging.getLogger(__name__)
INTERVAL_SECONDS = 2.0


class Levels:
    """The levels of this process."""

    def __init__(self, settings: LogSettings, interval: float = INTERVAL_SECONDS) -> None:
        self._file = settings.levels_file
        self._settings = {"": settings.level, **dict(map(parse_level, settings.levels))}
        self._interval = interval
        self._set: dict[str, int] = {}
        self._seen: tuple[int, int] | None = None

    def apply(self) -> None:
        """Set what the settings say, and the file beside them."""
        wanted = {**self._settings, **self._read()}
        for name in self._set.keys() - wanted.keys():
            logging.getLogger(name).setLevel(self._set.pop(name))
        for name, level in wanted.items():
            logger = logging.getLogger(name)
            self._set.setdefault(name, logger.level)
            logger.setLevel(level)

    def watch(self) -> None:
        """Look at the file from a thread of this process, when there is one to look at."""
        if self._file:
            threading.Thread(target=self._watch, name="log-levels", daemon=True).start()

    def changed(self) -> bool:
        """Whether the file is another than at the last look; its end is a change too."""
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
            lines = self._file.read_text().splitlines() if self._file else ()
        except OSError:
            return {}
        return dict(_parsed(lines))


def _parsed(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        if line.strip() and not line.startswith("#"):
            try:
                yield parse_level(line)
            except ValueError as error:
                # Whoever edits a file of a running service must not stop it.
                log.warning("LOG_LEVELS_FILE: %s", error)
