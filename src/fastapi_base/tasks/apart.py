"""Runs a job in a separate process, with the worker as a witness.

A worker's process has threads, connections and an event loop, and must not fork. So it starts a
helper process, which imports the handlers and forks for each job (forking.py). The helper and its
job can be killed without harm to the worker or to other jobs.
"""

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from fastapi_base.core.errors import Unavailable
from fastapi_base.core.messaging.queues import task_name
from fastapi_base.db.failures import UNAVAILABLE
from fastapi_base.db.session import Database
from fastapi_base.services.jobs import deaths
from fastapi_base.services.jobs.context import Handler
from fastapi_base.services.jobs.ending import Claim, wake_relays
from fastapi_base.services.jobs.runner import Done
from fastapi_base.tasks import runtime
from fastapi_base.tasks.metrics import LOST

log = structlog.stdlib.get_logger(__name__)

# This must not block: it starts from what this process has already loaded.
_BOOT = (
    "import json, sys; given = json.loads(sys.argv[1]); sys.path[:] = given['path'];"
    " from fastapi_base.tasks import forking; forking.serve(given['modules'], given['replies'])"
)
# PostgreSQL takes a moment to notice a closed connection.
_TRIES, _TRIES_PAUSE = 10, 0.5
_UNKNOWN_PAUSE = 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job's process ended.

    `done` is the outcome, if the job reported one; `away`, why it could not start; `claim`, the
    attempt that ended with the process; `why`, how the process ended.
    """

    done: Done | None = None
    away: str = ""
    claim: Claim | None = None
    why: str = ""


class Forker:
    """The forking helper process, started on demand. It runs one job at a time."""

    def __init__(self, modules: Sequence[str], seconds: float) -> None:
        self._modules = modules
        self._seconds = seconds
        self._one = threading.Lock()
        self._known: set[uuid.UUID] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._replies = -1
        self._read = b""

    def run(self, job_id: uuid.UUID, context: Mapping[str, Any]) -> Ended:
        """Run the job until its process ends. A duplicate of a job in progress does nothing."""
        if job_id in self._known:
            return Ended(Done("nothing to do"))
        self._known.add(job_id)
        request = json.dumps({"id": str(job_id), "context": context}, default=str).encode()
        try:
            with self._one:
                return self._run(request)
        finally:
            self._known.discard(job_id)

    def close(self) -> None:
        """Kill the helper process and its job."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.communicate()
            os.close(self._replies)
            self._process = None

    def _run(self, request: bytes) -> Ended:
        deadline = time.monotonic() + self._seconds
        process = self._started()
        assert process.stdin
        ended = Ended()
        with contextlib.suppress(OSError):
            process.stdin.write(request + b"\n")
            process.stdin.flush()
            while line := self._line(deadline):
                message = json.loads(line)
                if "ended" in message:
                    return Ended(ended.done, ended.away, ended.claim, message["ended"])
                ended = _heard(ended, message)
        self.close()
        late = time.monotonic() >= deadline
        why = "time limit exceeded" if late else "the helper process ended"
        return Ended(ended.done, ended.away, ended.claim, why)

    def _line(self, deadline: float) -> bytes:
        """The next line; empty at the end of the stream and after the deadline."""
        while b"\n" not in self._read:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([self._replies], [], [], left)[0]:
                return b""
            data = os.read(self._replies, 65536)
            if not data:
                return b""
            self._read += data
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        self._replies, replies = os.pipe()
        self._read = b""
        given = {"path": sys.path, "modules": list(self._modules), "replies": replies}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, json.dumps(given)],
                stdin=subprocess.PIPE,
                pass_fds=(replies,),
                # A separate process group: a job may kill its group, and close() kills all of it.
                start_new_session=True,
            )
        finally:
            os.close(replies)
        return self._process


def _heard(before: Ended, message: dict[str, Any]) -> Ended:
    if "claim" in message:
        claim = message["claim"]
        return Ended(claim=Claim(**{**claim, "id": uuid.UUID(claim["id"]), "payload": {}}))
    if "away" in message:
        return Ended(away=message["away"])
    return Ended(done=Done(**message["done"]), claim=before.claim)


_forker: Forker | None = None
_making = threading.Lock()


def run(job_id: uuid.UUID, modules: Sequence[str], handlers: Mapping[str, Handler[Any]]) -> Done:
    """Run the job in a separate process; returns its outcome, or that of the attempt that ended it.

    `modules` are those that define the handlers. Raises Unavailable if it could not be started.
    """
    global _forker
    limits = runtime.settings().celery
    with _making:
        if _forker is None:
            # After the job's soft time limit, and before the hard limit that kills this process.
            seconds = (limits.task_soft_time_limit + limits.task_time_limit) / 2
            _forker = Forker(modules, seconds)
    ended = _forker.run(job_id, structlog.contextvars.get_contextvars())
    if ended.done is not None:
        runtime.run(_make_room)
        return ended.done
    claim = ended.claim
    if claim is None:
        raise Unavailable(ended.away or f"the job's process did not start: {ended.why}")
    LOST.child(task_name(claim.kind)).inc()
    handler = handlers.get(claim.kind)
    pause = handler.kind.pause(claim.attempt) if handler else _UNKNOWN_PAUSE
    return runtime.run(lambda database: _count(database, claim, ended.why, pause))


async def _make_room(database: Database) -> None:
    """Wake the relays to publish the next job that runs apart."""
    with contextlib.suppress(*UNAVAILABLE):
        async with database.transaction() as session:
            await wake_relays(session)


async def _count(database: Database, claim: Claim, why: str, pause: float) -> Done:
    for _ in range(_TRIES):
        outcome = await deaths.crashed(database, claim, why, pause)
        if outcome is not None:
            return Done(outcome, claim.kind, claim.waited)
        await asyncio.sleep(_TRIES_PAUSE)
    # Another worker took it over, or the relay will recover it.
    return Done("lost", claim.kind, claim.waited)


def close(**_: object) -> None:
    """Stop the helper process, if there is one."""
    if _forker is not None:
        _forker.close()
