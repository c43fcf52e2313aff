"""Lines are written behind the work, and none of it waits for a reader that does not read."""

import io
import json
import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest
import structlog

from fastapi_base.core.config_observability import LogSettings
from fastapi_base.core.log_queue import DROPPED, WriteBehind
from fastapi_base.core.logging import configure_logging, write_behind

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


def test_everything_is_written_in_order_by_the_end() -> None:
    stream = io.StringIO()
    handler = set_up(stream)
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        for number in range(200):
            log.info("ours", number=number)
        logging.getLogger("theirs").warning("theirs")
    handler.close()
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [event["number"] for event in events[:-1]] == list(range(200))
    # The thread has no part in the request's context; the line has.
    assert {event["request_id"] for event in events} == {"r-1"}


def test_what_cannot_be_rendered_takes_no_other_line_with_it() -> None:
    stream = io.StringIO()
    handler = set_up(stream)
    logging.getLogger("theirs").warning("%d", "no number")
    log.info("after")
    handler.close()
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["event"] == "a log line cannot be rendered"
    assert second["event"] == "after"


def test_a_pipe_that_nobody_reads_holds_nothing_up_and_lost_lines_are_counted() -> None:
    reading, writing = os.pipe()
    before = DROPPED.child()._value.get()
    with os.fdopen(writing, "w") as stream:
        handler = set_up(stream, lines=100)
        start = time.perf_counter()
        for number in range(20_000):
            log.info("ours", number=number, filler="x" * 100)
        seconds = time.perf_counter() - start
        # The pipe takes 64 KiB, the queue 100 lines.
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
    # Far from what a blocked writer would take, which is for ever.
    assert seconds < 30
