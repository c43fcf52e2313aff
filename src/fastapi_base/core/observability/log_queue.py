"""Asynchronous log writer: a thread renders and writes log lines in batches.

Logging only appends a record to a bounded queue. If the writer cannot keep up, for example because
nobody reads the pipe, records are dropped and counted. A request never waits for a log write.
"""

import contextlib
import logging
import os
import threading
import time
from collections import deque
from typing import TextIO

import structlog

from fastapi_base.core.observability import crashes, metrics

DROPPED = metrics.counter("log_lines_dropped", "Lines dropped because the log queue was full")
CONTEXT = "context"
# The writer wakes up once per interval and writes all lines of it.
_GATHER_SECONDS = 0.02
_END_SECONDS = 5


class WriteBehind(logging.Handler):
    """A handler with a thread. `limit` is the queue size in lines.

    A process that is forked later has no such thread, so a plain handler replaces this one there.
    """

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
        os.register_at_fork(after_in_child=self._replace)

    def handle(self, record: logging.LogRecord) -> bool:
        """Called by loggers. Takes no lock: appending to the deque is atomic."""
        if len(self._records) >= self._limit:
            self._lost += 1
            return False
        if isinstance(record.msg, dict):
            # structlog has already rendered the error; the traceback would keep the request's
            # objects alive.
            record.exc_info = None
        else:
            _take(record)
        self._records.append(record)
        if not self._more.is_set():
            self._more.set()
        return True

    def close(self) -> None:
        """Write the queued records, for a few seconds at most, and stop. Called at process exit."""
        self._ended = True
        self._more.set()
        self._thread.join(_END_SECONDS)
        super().close()

    def _replace(self) -> None:
        """In a forked process. The parent writes what is queued here."""
        root = logging.getLogger()
        if self not in root.handlers:
            return
        stream = self._stream
        # The parent's thread may hold the stream's lock, with text in its buffer.
        with contextlib.suppress(OSError, ValueError):
            number = stream.fileno()
            stream = open(number, "w", encoding=stream.encoding, closefd=False)  # noqa: SIM115
        plain = logging.StreamHandler(stream)
        plain.setFormatter(self.formatter)
        root.handlers[root.handlers.index(self)] = plain

    def _run(self) -> None:
        while not (self._ended and not self._records):
            self._more.wait()
            if not self._ended:
                time.sleep(_GATHER_SECONDS)
                self._more.clear()
            self._write()

    def _write(self) -> None:
        lines = []
        # Only the records that are queued now; later ones belong to the next batch.
        for _ in range(len(self._records)):
            lines.append(self.format(self._records.popleft()))
        if self._lost:
            lost, self._lost = self._lost, 0
            DROPPED.child().inc(lost)
            name, text = __name__, f"{lost} log lines were dropped"
            lines.append(
                self.format(logging.LogRecord(name, logging.WARNING, "", 0, text, None, None))
            )
        if lines:
            # A reader that closed the pipe must not cause a failure.
            with contextlib.suppress(OSError, ValueError):
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()


def _take(record: logging.LogRecord) -> None:
    """Capture what must be read from a library's record in the thread that logs it.

    That is the request context and the rendered texts: arguments may change before the line is
    written, and frames would keep everything that they reference alive.
    """
    setattr(record, CONTEXT, structlog.contextvars.get_contextvars())
    with contextlib.suppress(Exception):  # The formatter reports it.
        record.msg, record.args = record.getMessage(), None
    if record.exc_info and record.exc_info[0]:
        record.exc_text, record.exc_info = crashes.traceback_text(record.exc_info), None
