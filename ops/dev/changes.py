"""Detects code changes, for `make up RELOAD=1`."""

import threading
from pathlib import Path
from typing import Self

from watchfiles import DefaultFilter, watch


class Changes:
    """A context that watches the files below ``folder``; calling it tells whether any changed.

    Ignores Python's caches and the temporary files of editors.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stop = threading.Event()
        self._changed = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)

    def __call__(self) -> bool:
        """Whether something changed since the last call."""
        changed = self._changed.is_set()
        self._changed.clear()
        return changed

    def _watch(self) -> None:
        for _ in watch(
            self._folder,
            watch_filter=DefaultFilter(),
            stop_event=self._stop,
            raise_interrupt=False,
            rust_timeout=500,
        ):
            self._changed.set()
