"""Log lines are written in the background; a reader that does not read blocks no work."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
import structlog

from fastapi_base.core.config.observability import LogSettings
from fastapi_base.core.observability.log_queue import DROPPED, WriteBehind
from fastapi_base.core.observability.logging import configure_logging, write_behind

log = structlog.stdlib.get_logger("ours")


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    before = logging.getLogger().handlers[:]
    yield
    for handler in logging.getLogger().handlers:
        if isinstance(handler, WriteBehind):
            handler.close()
    logging.getLogger().handlers[:] = before


def set_up(stream: io.TextIOBase, lines: int = 1000) -> WriteBehind:
    settings = LogSettings(format="json", queue_lines=lines)
    configure_logging(settings)
    write_behind(settings, stream)  # type: ignore[arg-type]
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, WriteBehind)
    return handler


def test_all_lines_are_written_in_order_before_exit() -> None:
    stream = io.StringIO()
    handler = set_up(stream)
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        for number in range(200):
            log.info("ours", number=number)
        logging.getLogger("theirs").warning("theirs")
    handler.close()
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["number"] for event in events[:-1]] == list(range(200))
    # The thread does not run in the request's context; the line carries it.
    assert {event["request_id"] for event in events} == {"r-1"}


def test_unrenderable_line_drops_no_other_line() -> None:
    stream = io.StringIO()
    handler = set_up(stream)
    logging.getLogger("theirs").warning("%d", "no number")
    log.info("after")
    handler.close()
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["event"] == "a log line cannot be rendered"
    assert second["event"] == "after"


def test_blocked_pipe_blocks_no_work_and_dropped_lines_are_counted() -> None:
    reading, writing = os.pipe()
    before = DROPPED.child()._value.get()
    with os.fdopen(writing, "w") as stream:
        handler = set_up(stream, lines=100)
        start = time.perf_counter()
        for number in range(20_000):
            log.info("ours", number=number, filler="x" * 100)
        seconds = time.perf_counter() - start
        # The pipe holds 64 KiB, the queue 100 lines.
        received: list[bytes] = []
        with os.fdopen(reading, "rb") as source:
            reader = threading.Thread(target=lambda: received.extend(source))
            reader.start()
            handler.close()
            stream.close()
            reader.join(10)
    events = [json.loads(line) for line in received]
    lost = DROPPED.child()._value.get() - before
    told = [event for event in events if "were dropped" in event["event"]]
    assert lost > 15_000
    assert len(events) - len(told) + lost == 20_000
    assert told
    # Much less than a blocked writer would take, which is forever.
    assert seconds < 30


_FORKS = """
import io, multiprocessing, os, sys, threading
import structlog
from fastapi_base.core.config.observability import LogSettings
from fastapi_base.core.observability.logging import configure_logging, write_behind

log = structlog.stdlib.get_logger("ours")
flushing = threading.Event()


class Stream(io.TextIOWrapper):
    def flush(self):
        flushing.set()
        super().flush()


def child():
    log.warning("in the child")


settings = LogSettings(format="json")
configure_logging(settings)
write_behind(settings, Stream(open(1, "wb"), "utf-8"))
# Nobody reads: once the pipe is full, the thread holds the stream and what it wrote to its buffer.
os.set_blocking(1, False)
try:
    while True:
        os.write(1, bytes(4096))
except BlockingIOError:
    os.set_blocking(1, True)
log.info("before")
flushing.wait()
log.info("queued")
if sys.argv[1] == "multiprocessing":
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    end = process.join
else:
    number = os.fork()
    if not number:
        child()
        os._exit(0)
    end = lambda: os.waitpid(number, 0)
sys.stderr.write("forked\\n")
sys.stderr.flush()
end()
log.info("after")
"""


@pytest.mark.parametrize("how", ["multiprocessing", "os.fork"])
def test_forked_process_writes_its_own_lines_and_no_others(how: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _FORKS, how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == "forked\n"
            written, _ = process.communicate(timeout=60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0
    events = [json.loads(line)["event"] for line in written.strip("\0").splitlines()]
    assert sorted(events) == ["after", "before", "in the child", "queued"]
