"""The helper process that forks for each job that runs apart; see apart.py.

It has no threads and no connections, so it can fork. It reads one job per line from standard input,
and reports through the given pipe which attempt began, its outcome, and how the job's process
ended. When its standard input closes, it ends with the job in it.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import select
import signal
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import structlog

from fastapi_base.core import emails
from fastapi_base.core.errors import DomainError
from fastapi_base.core.observability import reporting
from fastapi_base.core.observability.logging import configure_logging
from fastapi_base.services.jobs.ending import Claim
from fastapi_base.services.jobs.runner import Runner
from fastapi_base.tasks import runtime
from fastapi_base.tasks.running import HANDLERS
from fastapi_base.utils.exits import how_ended

log = structlog.stdlib.get_logger(__name__)

#: Seconds without a job after which the process ends.
IDLE_SECONDS = 60.0
_LOOK_SECONDS = 0.02
# Other jobs have priority for the CPU; when memory is scarce, the OOM killer picks this process
# first.
_NICENESS = 5
_MOST_LIKELY = "1000"


def serve(modules: Sequence[str], replies: int) -> None:
    """Run jobs, whose handlers the modules define, until none arrives for a while."""
    os.nice(_NICENESS)
    settings = runtime.settings()
    configure_logging(settings.log, to="stdout")
    emails.allow_special_domains(settings.auth.email_allow_special_domains)
    for name in modules:
        importlib.import_module(name)
    read = b""
    while select.select([0], [], [], IDLE_SECONDS)[0]:
        data = os.read(0, 65536)
        if not data:
            return
        read += data
        while b"\n" in read:
            request, _, read = read.partition(b"\n")
            _tell(replies, ended=_forked(json.loads(request), replies))


def _forked(request: dict[str, Any], replies: int) -> str:
    """Run one job in a forked process; returns how that process ended."""
    child = os.fork()
    if child == 0:
        _run(request, replies)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return how_ended(os.waitstatus_to_exitcode(status))
        # Input is not expected before the reply: it means that the worker ended.
        if select.select([0], [], [], _LOOK_SECONDS)[0]:
            os.killpg(0, signal.SIGKILL)


def _run(request: dict[str, Any], replies: int) -> NoReturn:
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_MOST_LIKELY)
    structlog.contextvars.bind_contextvars(**request["context"])
    settings = runtime.settings()
    reporting.start(settings)

    def on_claim(claim: Claim) -> None:
        # Without payload and owner: the worker only counts the attempt.
        kept = dataclasses.replace(claim, payload={}, owner_id=None)
        _tell(replies, claim=dataclasses.asdict(kept))

    try:
        done = runtime.run(
            lambda database: Runner(database, settings, HANDLERS, on_claim).run(
                uuid.UUID(request["id"])
            )
        )
        _tell(replies, done=dataclasses.asdict(done))
        runtime.close()
        reporting.stop()
    except DomainError as error:
        _tell(replies, away=error.detail)
    except Exception as error:
        log.exception("a job could not be run")
        _tell(replies, away=type(error).__name__)
    sys.stdout.flush()
    os._exit(0)


def _tell(replies: int, **what: Any) -> None:
    # One write of less than PIPE_BUF is atomic.
    os.write(replies, json.dumps(what, default=str).encode() + b"\n")
