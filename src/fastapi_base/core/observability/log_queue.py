"""Writes log lines behind the work: rendering and writing happen in a thread, in batches.

Whoever logs only puts a record into a queue with an end. When the writer cannot follow, because
nobody reads the pipe, say, lines are dropped and counted; a request never waits for a log.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from typing import TextIO

import structlog

from fastapi_base.core import metrics

DROPPED = metrics.counter("log_lines_dropped", "Lines that the queue of logs had no room for")
CONTEXT = "context"
# One wake-up for all lines of this time.
_GATHER_SECONDS = 0.02
_END_SECONDS = 5


class WriteBehind(logging.Handler):
    """A handler for a process that does not fork afterwards. `limit` is in lines."""

    def __init__(self, stream: TextIO, limit: int) -> None:
        super().__init__()
        self._stream = stream
        self._limit = limit
        self._records: deque[logging.LogRecord] = deque()
        self._lost = 0
        self._more = threading.Event()
        self._writing = threading.Lock()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def handle(self, record: logging.LogRecord) -> bool:
        """Called by loggers. Takes no lock: appending is one step."""
        if len(self._records) >= self._limit:
            self._lost += 1
            return False
        if not isinstance(record.msg, dict):
            # A library's: what the request is called must be taken here, not in the thread.
            setattr(record, CONTEXT, structlog.contextvars.get_contextvars())
        self._records.append(record)
        if not self._more.is_set():
            self._more.set()
        return True

    def close(self) -> None:
        """Write what waits, for at most some seconds, and end. Called at the process's end."""
        self._ended = True
        self._more.set()
        self._thread.join(_END_SECONDS)
        super().close()

    def _run(self) -> None:
        while not (self._ended and not self._records):
            self._more.wait()
            if not self._ended:
                time.sleep(_GATHER_SECONDS)
                self._more.clear()
            self._write()

    def _write(self) -> None:
        lines = []
        # As many as there are now: those that come meanwhile are the next batch.
        for _ in range(len(self._records)):
            lines.append(self._line(self._records.popleft()))
        if self._lost:
            lost, self._lost = self._lost, 0
            DROPPED.child().inc(lost)
            name, text = __name__, f"{lost} log lines were dropped"
            lines.append(
                self._line(logging.LogRecord(name, logging.WARNING, "", 0, text, None, None))
            )
        if lines:
            # A reader that went away is no reason to fail.
            with contextlib.suppress(OSError, ValueError):
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception as error:
            return f'{{"event":"a log line cannot be rendered","error":"{type(error).__name__}"}}'
