"""Every error that is logged or unhandled appears in the log with its traceback."""

import asyncio
import gc
import io
import json
import logging
import os
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from fastapi_base.core.config.observability import LogSettings
from fastapi_base.core.observability.log_queue import WriteBehind
from fastapi_base.core.observability.logging import configure_logging, write_behind
from fastapi_base.core.observability.redaction import LONGEST, redact

SECRET = "hunter2-correct-horse"
ours, theirs = structlog.stdlib.get_logger("ours"), logging.getLogger("theirs")


def fail(way: str) -> None:
    raise ValueError(f"broken {way}, password={SECRET}")


def caught(way: str) -> ValueError:
    try:
        fail(way)
    except ValueError as error:
        return error
    raise AssertionError


def inside(way: str, say: Callable[[], object]) -> None:
    try:
        fail(way)
    except ValueError:
        say()


def chained(way: str) -> None:
    try:
        fail(way)
    except ValueError as error:
        raise LookupError("it is wrapped") from error


class Destroyed:
    def __del__(self) -> None:
        fail("in a destructor")


async def in_tasks() -> None:
    async def work() -> None:
        fail("in a task that nobody awaits")

    loop = asyncio.get_running_loop()
    loop.call_soon(fail, "in a callback")
    task = loop.create_task(work())
    await asyncio.wait([task])
    del task
    gc.collect()


def log_all() -> None:
    """Every way in which an error reaches a log."""
    error = caught("as an object")
    found = caught("as a tuple")
    inside("by exception()", lambda: ours.exception("event"))
    inside("by error()", lambda: ours.error("event", exc_info=True))
    ours.error("event", exc_info=error)
    ours.warning("event", exc_info=(type(found), found, found.__traceback__))
    ours.exception("event", exc_info=caught("by exception() later"))
    inside("by bind()", lambda: ours.bind(user="ada").exception("event"))
    inside("of a library", lambda: theirs.exception("event"))
    theirs.error("event", exc_info=caught("of a library later"))
    try:
        chained("as a cause")
    except LookupError:
        ours.exception("event")
    ours.error("event", exc_info=ExceptionGroup("x", [caught("of a group")]))
    thread = threading.Thread(target=fail, args=["in a thread"])
    thread.start()
    thread.join()
    Destroyed()
    gc.collect()
    asyncio.run(in_tasks())
    warnings.warn("a warning", RuntimeWarning, stacklevel=1)


WAYS = (
    "as an object",
    "as a tuple",
    "by exception()",
    "by error()",
    "by exception() later",
    "by bind()",
    "of a library",
    "of a library later",
    "as a cause",
    "of a group",
    "in a thread",
    "in a destructor",
    "in a callback",
    "in a task that nobody awaits",
    "at the end",
)


@pytest.mark.parametrize("behind", [True, False], ids=["behind", "at once"])
@pytest.mark.parametrize("form", ["json", "console"])
def test_every_error_is_logged_with_its_traceback(form: str, behind: bool) -> None:
    # In a separate process: hooks belong to a process, and the last error ends it.
    places = os.pathsep.join(str(Path(place).absolute()) for place in sys.path)
    done = subprocess.run(
        [sys.executable, __file__, form, *["behind"] * behind],
        env=os.environ | {"PYTHONPATH": places},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == ""
    assert SECRET not in done.stdout
    for way in WAYS:
        assert f"ValueError: broken {way}, password=[redacted]" in done.stdout, (way, done.stdout)
    assert "a warning" in done.stdout
    if form == "json":
        events = [json.loads(line) for line in done.stdout.splitlines()]
        for way in WAYS:
            (event,) = (e for e in events if f"broken {way}," in e.get("exception", ""))
            assert "Traceback (most recent call last)" in event["exception"], way
            assert "in fail\n" in event["exception"], way
            assert event["level"] in {"error", "warning", "critical"}


@pytest.mark.parametrize("behind", [True, False], ids=["behind", "at once"])
def test_stream_of_another_encoding_loses_no_line(behind: bool) -> None:
    code = (
        "import sys, structlog\n"
        "from fastapi_base.core.config.observability import LogSettings\n"
        "from fastapi_base.core.observability.logging import configure_logging, write_behind\n"
        "settings = LogSettings(format='json')\n"
        "configure_logging(settings, to='stdout')\n"
        f"{behind} and write_behind(settings, sys.stdout)\n"
        "for event in ('before', 'caf\\u00e9', 'after'):\n"
        "    structlog.stdlib.get_logger().info(event)\n"
    )
    places = os.pathsep.join(str(Path(place).absolute()) for place in sys.path)
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": places, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    events = [json.loads(line)["event"] for line in done.stdout.splitlines()]
    assert (events, done.stderr) == (["before", "caf\u00e9", "after"], "")


def test_logged_error_keeps_no_frames_or_request_objects_alive() -> None:
    """A queue that nobody drains holds only texts."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading, "rb") as source:
        settings = LogSettings(format="json", queue_lines=1000)
        configure_logging(settings)
        before = logging.getLogger().handlers[:]
        write_behind(settings, stream)
        (handler,) = logging.getLogger().handlers
        assert isinstance(handler, WriteBehind)
        try:
            # More than the pipe holds: the writer blocks halfway.
            theirs.warning("x" * 30_000)
            theirs.warning("x" * 30_000)
            theirs.warning("x" * 30_000)
            held = [weakref.ref(raise_and_log(log)) for log in (ours, theirs)]
            gc.collect()
            assert [ref() for ref in held] == [None, None]
        finally:
            reader = threading.Thread(target=source.read)
            reader.start()
            handler.close()
            stream.close()
            reader.join(10)
            logging.getLogger().handlers[:] = before


class Request:
    """An object that must not stay alive."""


def raise_and_log(log: Any) -> Request:
    request = Request()
    try:
        fail("with a request in its frame")
    except ValueError:
        log.exception("event %s", "text")
    return request


@pytest.fixture(params=["json", "console"])
def log_format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_long_traceback_keeps_its_beginning_and_end(lines: io.StringIO) -> None:
    filler = f"x token={SECRET}\n" * 100_000
    ours.error("event", exc_info=ValueError(f"{filler}the end"))
    theirs.error("event", exc_info=ValueError(f"{filler}the end"))
    written = lines.getvalue()
    assert len(written) < 150_000
    assert written.count("the end") == 2
    assert written.count("characters left out]") == 2
    assert SECRET not in written
    # The patterns do not recognise half of a secret.
    for length in range(LONGEST // 2 - 60, LONGEST // 2 + 60):
        padding = "y" * length
        text = redact(f"{padding} postgresql://app:{SECRET}@db/app Cookie: a={SECRET} {padding}")
        assert "hunter2" not in text
        assert "horse" not in text


class Wordless:
    def __str__(self) -> str:
        raise RuntimeError("it has no text")

    __repr__ = __str__


def test_object_without_a_text_does_not_drop_the_error(
    lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without pytest's handlers, which fail.
    root = logging.getLogger()
    mine = [found for found in root.handlers if getattr(found, "stream", None) is lines]
    monkeypatch.setattr(root, "handlers", mine)
    inside("beside it", lambda: theirs.exception("event %s", Wordless()))
    inside("beside a value", lambda: ours.exception("event", thing=Wordless(), big=2**70))
    inside("beside half a character", lambda: ours.exception("half \ud800"))
    written = lines.getvalue()
    assert written.count("ValueError: broken beside it") == 1
    assert "ValueError: broken beside a value" in written
    assert "half \\ud800" in written
    assert written.encode()


def test_traceback_cannot_inject_lines_or_terminal_sequences(lines: io.StringIO) -> None:
    forged = "2026-01-31T12:00:00Z [info] request status=200"
    ours.error("event", exc_info=ValueError(f"x\n{forged}\x1b[2J\x9b2J"))
    written = lines.getvalue()
    assert "\n2026" not in written
    assert "\x1b[2J" not in written
    assert "\x9b" not in written


def test_stack_is_that_of_the_caller(lines: io.StringIO) -> None:
    for log in (ours, theirs):
        log.info("where", stack_info=True)
    assert lines.getvalue().count("test_stack_is_that_of_the_caller") == 2


def main(form: str, behind: bool) -> None:
    """The program of the process."""
    settings = LogSettings.model_validate({"format": form})
    configure_logging(settings, to="stdout")
    if behind:
        write_behind(settings, sys.stdout)
    log_all()
    fail("at the end")


if __name__ == "__main__":
    main(sys.argv[1], "behind" in sys.argv)
