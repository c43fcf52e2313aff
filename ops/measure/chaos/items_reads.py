"""Compares every read of an item with the changes confirmed before the read started.

Two APIs share PostgreSQL and a Redis that restarts from its last snapshot; each reaches Redis
through its own network. Items are changed and read through both while faults occur. A read that
returns an older version than the last confirmed one is stale, and no fault excuses it. Failed
requests prove nothing.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from ops.measure.chaos.check import Check
from ops.measure.chaos.faults import crash_postgres, flush_redis
from ops.measure.chaos.loads import EMAIL, PASSWORD
from ops.measure.chaos.stack import API, SECOND_API, Stack

APIS = (API, SECOND_API)
# Enough items that one changed at a bad moment is not changed again soon, which would repair it.
ITEMS, READERS = 100, 4
REQUEST_SECONDS = 10.0
# The longest time without a served read after the last fault, on a busy machine.
PATIENCE_SECONDS = 60.0


@dataclass(slots=True)
class Outcome:
    """The counts. `unseen` are reads and changes without a usable reply."""

    fault: str
    times: int
    changes: int = 0
    reads: int = 0
    stale: int = 0
    unseen: int = 0
    seconds: float = 0
    # The first few, for diagnosis.
    examples: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether reads and changes made progress, and no read was stale."""
        return self.changes > 0 and self.reads > 0 and self.stale == 0


def _wait(least: float, most: float) -> None:
    time.sleep(random.uniform(least, most))  # noqa: S311


def _restore(stack: Stack, turn: int) -> None:
    stack.save_redis()
    # Changes from here on are not in the file; nor are their invalidations.
    _wait(0.1, 0.5)
    stack.kill("redis")
    _wait(0.2, 1)
    stack.start_redis()


def _restore_and_replace(stack: Stack, turn: int) -> None:
    stack.save_redis()
    stack.kill("redis")
    # Long enough for changes while Redis is down, known only to the process that made them.
    _wait(0.5, 1.5)
    name = APIS[turn % 2]
    stack.kill(name)
    stack.start_redis()
    stack.start_api(name)


def _pause(stack: Stack, turn: int) -> None:
    stack.pause("redis")
    _wait(0.5, 4)
    stack.go_on("redis")


def _part(stack: Stack, turn: int) -> None:
    # Only one API; the other one still reads what is in Redis.
    network = (stack.network, stack.second_network)[turn % 2]
    if turn % 4 > 1:
        network.freeze()
        # Longer than a client waits: changes made meanwhile are confirmed.
        _wait(0.5, 8)
    else:
        network.refuse()
        _wait(0.5, 3)
    network.thaw()


def _kill(stack: Stack, turn: int) -> None:
    name = APIS[turn // 2 % 2]
    if turn % 2:
        stack.kill(name)
        stack.start_api(name)
    else:
        # The process that answers; gunicorn starts another one.
        stack.kill_child(name)


FAULTS: Mapping[str, Callable[[Stack, int], None]] = {
    "items: Redis restored from an older file": _restore,
    "items: the same, and an API replaced meanwhile": _restore_and_replace,
    "items: Redis paused": _pause,
    "items: Redis FLUSHALL": flush_redis,
    "items: one API cut off from Redis": _part,
    "items: kill -9 of an API": _kill,
    "items: PostgreSQL crashes": crash_postgres,
}


class Comparison:
    """Changes and reads items, and compares."""

    def __init__(self, stack: Stack, outcome: Outcome) -> None:
        self._stack = stack
        self._outcome = outcome
        # The last confirmed version of each item.
        self._confirmed: dict[str, int] = {}
        self.headers: dict[str, str] = {}

    async def prepare(self) -> None:
        """Create an account with its items through the first API."""
        async with httpx2.AsyncClient(base_url=self._stack.api_url, timeout=30) as client:
            # One account for each fault on a stack.
            email = f"{secrets.token_hex(4)}-{EMAIL}"
            account = {"email": email, "password": PASSWORD}
            (await client.post("/auth/register", json=account)).raise_for_status()
            form = {"username": email, "password": PASSWORD}
            login = (await client.post("/auth/login", data=form)).raise_for_status().json()
            self.headers = {"Authorization": f"Bearer {login['access_token']}"}
            bodies = {"items": [{"title": f"item {number}"} for number in range(ITEMS)]}
            made = await client.post("/items/bulk", json=bodies, headers=self.headers)
            self._confirmed = dict.fromkeys(made.raise_for_status().json()["ids"], 1)

    async def change(self, client: httpx2.AsyncClient) -> bool:
        """Change an item; returns whether that was confirmed."""
        item = random.choice([*self._confirmed])  # noqa: S311
        body, any_version = {"title": str(time.time())}, {"If-Match": "*"}
        reply = await client.patch(f"/items/{item}", json=body, headers=any_version)
        if reply.status_code != 200:
            assert reply.status_code >= 500, reply.text
            return False
        self._confirmed[item] = max(self._confirmed[item], reply.json()["version"])
        self._outcome.changes += 1
        return True

    async def read(self, client: httpx2.AsyncClient) -> bool:
        """Read an item; returns whether there was a reply to compare."""
        item = random.choice([*self._confirmed])  # noqa: S311
        confirmed = self._confirmed[item]
        reply = await client.get(f"/items/{item}")
        if reply.status_code != 200:
            assert reply.status_code >= 500, reply.text
            return False
        self._outcome.reads += 1
        if (seen := reply.json()["version"]) < confirmed:
            self._outcome.stale += 1
            if len(self._outcome.examples) < 3:
                self._outcome.examples.append(f"{client.base_url}: {seen} after {confirmed}")
        return True

    async def loop(self, api: str, *, writes: bool) -> None:
        """Repeat this through the API until cancelled."""
        async with httpx2.AsyncClient(
            base_url=self._stack.url_of(api), timeout=REQUEST_SECONDS, headers=self.headers
        ) as client:
            while True:
                try:
                    useful = await (self.change(client) if writes else self.read(client))
                except httpx2.TransportError:
                    useful = False
                if not useful:
                    self._outcome.unseen += 1
                # Reads are more frequent than changes, as where a cache is useful.
                await asyncio.sleep(0.05 if writes or not useful else 0.002)


def started(folder: Path) -> Stack:
    """Start what this needs: no relay and no worker, and a Redis with a snapshot."""
    return Stack(folder, relays=0, workers=0, threads=0, snapshots=True)


async def under(stack: Stack, fault: str, least: int, times: int) -> Outcome:
    """Compare at least this many reads while the fault occurs this many times and afterwards.

    The APIs keep running for the next fault on this stack.
    """
    outcome = Outcome(fault, times)
    comparison, start = Comparison(stack, outcome), time.monotonic()
    for name in APIS:
        await asyncio.to_thread(stack.start_api, name)
    await comparison.prepare()
    loops = [comparison.loop(api, writes=True) for api in APIS]
    loops += [comparison.loop(api, writes=False) for api in APIS for _ in range(READERS)]
    work = [asyncio.create_task(loop) for loop in loops]
    try:
        for turn in range(times):
            await asyncio.sleep(random.uniform(0.5, 2))  # noqa: S311
            await asyncio.to_thread(FAULTS[fault], stack, turn)
        await _until(outcome, least, work)
    finally:
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
    outcome.seconds = round(time.monotonic() - start, 1)
    return outcome


async def _until(outcome: Outcome, least: int, work: list[asyncio.Task[None]]) -> None:
    """Wait for this many reads, a hundred after the last fault, and some changes."""
    reads, changes = max(least, outcome.reads + 100), outcome.changes + 10
    seen, since = outcome.reads, time.monotonic()
    while outcome.reads < reads or outcome.changes < changes:
        for task in work:
            if task.done():
                task.result()
        if outcome.reads > seen:
            seen, since = outcome.reads, time.monotonic()
        assert time.monotonic() - since < PATIENCE_SECONDS, f"nothing is served: {outcome}"
        await asyncio.sleep(0.1)


def table(outcomes: list[Outcome]) -> str:
    """A Markdown table."""
    lines = [
        "| fault | times | changes confirmed | reads compared | stale | seconds |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.fault} | {one.times} | {one.changes} | {one.reads} | {one.stale} | {one.seconds} |"
        for one in outcomes
    ]
    return "\n".join(lines)


CHECK = Check(FAULTS, started, under, table)
