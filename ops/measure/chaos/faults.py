"""Repeats one fault while jobs are submitted and run, and counts the outcome of each job."""

import asyncio
import random
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import text

from fastapi_base.core.errors import DomainError
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import Database, EngineDatabase
from ops.measure.chaos import states
from ops.measure.chaos.check import Check
from ops.measure.chaos.loads import Load, Moments, Poisoned, Requests, Transactions
from ops.measure.chaos.stack import Stack

# The longest time without a finished job after recovery, on a busy machine.
PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was counted."""

    fault: str
    times: int
    submitted: int
    with_effect: int
    duplicates: int
    seconds: float

    @property
    def well(self) -> bool:
        """Whether each accepted job took effect exactly once."""
        return self.with_effect == self.submitted and self.duplicates == 0


def _kill_worker(stack: Stack, turn: int) -> None:
    name = stack.workers[turn % len(stack.workers)]
    if turn % 2:
        stack.kill(name)
        stack.start(name)
    else:
        stack.kill_child(name)


def _kill_threads(stack: Stack, turn: int) -> None:
    stack.kill("threads-0")
    stack.start("threads-0")


def _kill_relay(stack: Stack, turn: int) -> None:
    name = stack.relays[turn % len(stack.relays)]
    stack.kill(name)
    stack.start(name)


def _kill_redis(stack: Stack, turn: int) -> None:
    stack.kill("redis")
    stack.start_redis()


def flush_redis(stack: Stack, turn: int) -> None:
    stack.flush()


def _demote_redis(stack: Stack, turn: int) -> None:
    # As in a planned failover and back; every other time it may not serve stale data either.
    state = states.without_its_primary if turn % 2 else states.demoted
    with stack.redis() as server, state(server):
        time.sleep(random.uniform(0.5, 3))  # noqa: S311


def _strand_network(stack: Stack, turn: int) -> None:
    stack.network.strand()


def _nothing(stack: Stack, turn: int) -> None:
    """The load itself is the fault."""


def crash_postgres(stack: Stack, turn: int) -> None:
    # "Immediate shutdown": as after a crash, it recovers from its log at the next start.
    stack.kill("postgres", signal.SIGQUIT)
    stack.start_postgres()


def _kill_api(stack: Stack, turn: int) -> None:
    # Either the process that answers, which its supervisor replaces; or all, which are restarted.
    if turn % 2:
        stack.kill("api")
        stack.start_api()
    else:
        stack.kill_child("api")


def _kill_beat(stack: Stack, turn: int) -> None:
    name = stack.beats[turn % len(stack.beats)]
    stack.kill(name)
    stack.start(name)


def _break_network(stack: Stack, turn: int) -> None:
    stack.network.freeze()
    time.sleep(random.uniform(0.5, 4))  # noqa: S311
    if turn % 2:
        stack.network.cut()
    stack.network.thaw()


@dataclass(frozen=True, slots=True)
class Fault:
    """What is repeated, and how jobs are submitted meanwhile."""

    strike: Callable[[Stack, int], None]
    load: Callable[[], Load] = Transactions


FAULTS: Mapping[str, Fault] = {
    "kill -9 of a worker": Fault(_kill_worker),
    "kill -9 of a worker with threads": Fault(_kill_threads),
    "kill -9 of a relay": Fault(_kill_relay),
    "kill -9 of the API": Fault(_kill_api, Requests),
    "kill -9 of Beat": Fault(_kill_beat, Moments),
    "Redis killed, all lost": Fault(_kill_redis),
    "Redis FLUSHALL": Fault(flush_redis),
    "Redis demoted, promoted": Fault(_demote_redis),
    "network to Redis frozen, cut": Fault(_break_network),
    "connections to Redis go silent": Fault(_strand_network),
    "a job that kills its process": Fault(_nothing, Poisoned),
    "PostgreSQL crashes": Fault(crash_postgres),
}


async def under(stack: Stack, fault: str, jobs: int, times: int) -> Outcome:
    """Submit this many jobs while the fault occurs this many times, and wait for the last one."""
    engine = create_engine(stack.settings.database, "chaos")
    load = FAULTS[fault].load()
    try:
        database = EngineDatabase(engine)
        await load.prepare(stack, database)
        return await _under(stack, database, load, fault, jobs, times)
    finally:
        await engine.dispose()


async def _under(
    stack: Stack, database: Database, load: Load, fault: str, jobs: int, times: int
) -> Outcome:
    start = time.monotonic()
    # Jobs are submitted as long as faults occur.
    pause = 1.2 * times / jobs
    submitting = asyncio.create_task(load.submit(stack, database, jobs, pause))
    for turn in range(times):
        await asyncio.sleep(random.uniform(0.5, 2))  # noqa: S311
        await asyncio.to_thread(FAULTS[fault].strike, stack, turn)
    await submitting
    load.finish(stack)
    await _all_over(database)
    promised = await load.promised(database)
    effects = await load.effects(database)
    return Outcome(
        fault,
        times,
        len(promised),
        sum(1 for name in promised if effects[name]),
        sum(count - 1 for count in effects.values()),
        round(time.monotonic() - start, 1),
    )


async def _all_over(database: Database) -> None:
    """Wait until all jobs are finished, or there is no more progress."""
    statement = text("SELECT count(*) FROM jobs WHERE state IN ('queued', 'running')")
    left, since = -1, time.monotonic()
    while left and time.monotonic() - since < PATIENCE_SECONDS:
        await asyncio.sleep(0.5)
        try:
            async with database.read() as connection:
                now = int(await connection.scalar(statement) or 0)
        except DomainError:
            continue
        if now != left:
            left, since = now, time.monotonic()


def table(outcomes: list[Outcome]) -> str:
    """A Markdown table."""
    lines = [
        "| fault | times | jobs accepted | with effect | duplicates | seconds |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.fault} | {one.times} | {one.submitted} | {one.with_effect} | {one.duplicates}"
        f" | {one.seconds} |"
        for one in outcomes
    ]
    return "\n".join(lines)


CHECK = Check(FAULTS, Stack, under, table)
