"""Keeps a worker running when one of its jobs ends the process that all of them share.

Celery's prefork pool replaces its processes. With `--pool=threads` or `--pool=solo` the worker
itself would end, and each start takes seconds; after a few restarts Kubernetes waits for minutes.
So the worker forks once its program is loaded: the child works, and this process forks another one
when a signal or a job kills the child.
"""

import contextlib
import os
import random
import signal
import threading
import time
from typing import Any, NoReturn

import structlog
from celery import concurrency
from celery.signals import worker_init, worker_ready, worker_shutdown

from fastapi_base.core.observability.logging import configure_logging
from fastapi_base.tasks import runtime
from fastapi_base.utils.exits import how_ended

log = structlog.stdlib.get_logger(__name__)

_POOLS = ("threads", "solo")
_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)
# The child's reports: that it works, and that it ends on purpose.
_READY, _ENDING = b"r", b"e"
# Seconds before the next child; doubled each time until one is ready.
_PAUSE, _LONGEST_PAUSE = 0.5, 30.0


def install() -> None:
    """Supervise workers that start in this process.

    Call it before other receivers start threads or open ports at a worker's start.
    """
    worker_init.connect(supervise, weak=False)


def supervise(sender: Any, **_: Any) -> None:
    """Return in a child that is to work. Does nothing in other pools or beside other threads."""
    shared = {concurrency.get_implementation(name) for name in _POOLS}
    pool = concurrency.get_implementation(sender.pool_cls)
    if pool not in shared or threading.active_count() > 1:
        return
    pause, worked = _PAUSE, False
    while True:
        child, reports = _fork()
        if child == 0:
            return
        status, said = _wait(child, reports)
        worked = worked or _READY in said
        if _ENDING in said or not worked:
            _end_as(status)
        pause = _PAUSE if _READY in said else min(pause * 2, _LONGEST_PAUSE)
        why = how_ended(os.waitstatus_to_exitcode(status))
        configure_logging(runtime.settings().log, to="stdout")
        log.error("a worker's process died; another one starts", why=why, pause=pause)
        time.sleep(pause * random.uniform(0.5, 1))  # noqa: S311  no secret


def _fork() -> tuple[int, int]:
    """Fork. Returns the child's process id (0 in the child) and the read end of its report pipe."""
    reports, reporting_end = os.pipe()
    ended, alive = os.pipe()
    child = os.fork()
    if child:
        os.close(reporting_end)
        os.close(ended)
        # Held until this process ends.
        _held.append(alive)
        return child, reports
    os.close(reports)
    os.close(alive)
    # A separate group: the parent forwards signals of the terminal, so that they arrive once.
    os.setpgid(0, 0)
    threading.Thread(target=_end_with_parent, args=(ended,), name="parent", daemon=True).start()
    worker_ready.connect(lambda **_: os.write(reporting_end, _READY), weak=False)
    worker_shutdown.connect(lambda **_: os.write(reporting_end, _ENDING), weak=False)
    return 0, -1


_held: list[int] = []


def _end_with_parent(ended: int) -> None:
    os.read(ended, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def _wait(child: int, reports: int) -> tuple[int, bytes]:
    """Forward signals until the child ends; returns its status and its reports.

    A signal that arrives after the child ended takes effect here: no other child must start.
    """
    late: list[int] = []

    def pass_on(number: int, _: object) -> None:
        try:
            os.kill(child, number)
        except ProcessLookupError:
            late.append(number)

    before = {number: signal.signal(number, pass_on) for number in _FORWARDED}
    _, status = os.waitpid(child, 0)
    for number, handler in before.items():
        signal.signal(number, handler)
    for missed in late:
        signal.raise_signal(missed)
    said = os.read(reports, 16)
    os.close(reports)
    os.close(_held.pop())
    return status, said


def _end_as(status: int) -> NoReturn:
    """End this process as the child ended."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        # SIGKILL has no handler that could be set.
        with contextlib.suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        # PID 1 of a container is not killed by its own signals; use the shells' exit code for a
        # signal.
        code = 128 - code
    raise SystemExit(code)
