"""A backlog of jobs delays no others, and costs the relay little."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import TextClause, text

from fastapi_base.core.messaging.queues import Queue
from fastapi_base.db.session import EngineDatabase
from fastapi_base.services.jobs import deaths, outbox
from fastapi_base.services.jobs.kinds import Kind, Priority
from tests.integration.jobs.steps import (
    LIMITS,
    Note,
    add,
    all_ids,
    change,
    row,
    scans_among_finished,
    take,
)

pytestmark = pytest.mark.anyio
LEASE = timedelta(seconds=30)
BACKLOG = text(
    """
    INSERT INTO jobs (id, kind, version, payload, queue, priority, max_attempts, run_at, suspect)
    SELECT gen_random_uuid(), 'note', 1, '{}', queue, priority, 3,
        now() - :age * interval '1 second', :suspect
    FROM generate_series(1, :many)
""".replace("queue, priority, 3", ":queue, CAST(:priority AS integer), 3")
)


async def backlog(
    database: EngineDatabase,
    many: int,
    priority: Priority = Priority.BACKGROUND,
    queue: Queue = Queue.DEFAULT,
    *,
    age: float = 10,
    suspect: bool = False,
) -> None:
    """This many jobs that have waited for this many seconds."""
    values = {"many": many, "priority": int(priority), "queue": str(queue)}
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.execute(BACKLOG, {**values, "age": age, "suspect": suspect})


async def begin(database: EngineDatabase, messages: Sequence[outbox.Message]) -> None:
    """Start the jobs, as workers do with messages."""
    for message in messages:
        await change(database, message.id, state="running")


async def test_backlog_does_not_delay_other_queues_and_priorities(database: EngineDatabase) -> None:
    await backlog(database, 1000)
    await backlog(database, 1000, Priority.LOW, Queue.BULK)
    await take(database)
    urgent = await add(database, priority=Priority.URGENT)
    other = await add(database, kind=Kind("mail", Note, queue=Queue.MAIL))
    # The broker has its share of the others: none is ahead of these.
    assert [message.id for message in await take(database)] == [urgent.id, other.id]


async def test_broker_holds_few_messages_per_queue_and_priority(database: EngineDatabase) -> None:
    window = LIMITS.window
    await backlog(database, 2 * window)
    await backlog(database, 10, Priority.NORMAL)
    first = await take(database)
    # The most urgent first.
    assert [message.priority for message in first] == [3] * 10 + [9] * window
    assert await take(database) == []
    await begin(database, first[:15])
    assert [message.priority for message in await take(database)] == [9] * 5


async def test_steady_stream_of_urgent_jobs_does_not_starve_the_others(
    database: EngineDatabase,
) -> None:
    """The broker delivers urgent jobs first, so jobs that waited long are published as urgent."""
    window, urgent, old = LIMITS.window, 0, 0
    await backlog(database, 1000, age=120)
    await backlog(database, 1000, Priority.LOW, Queue.BULK, age=120)
    mine = {str(row) for row in await all_ids(database)}
    for _ in range(20):
        await backlog(database, window, Priority.URGENT, age=0)
        taken = await take(database)
        # Workers, one for each queue, start the first hundred urgent jobs.
        first = [message for message in taken if message.priority == 0][:100]
        urgent += sum(1 for message in first if str(message.id) not in mine)
        old += sum(1 for message in first if str(message.id) in mine)
        await begin(database, first)
    assert old >= 100
    assert urgent >= 3 * old


async def test_promotion_to_urgent_is_limited(database: EngineDatabase) -> None:
    await backlog(database, 5000, age=120)
    taken = await take(database)
    assert [message.priority for message in taken].count(0) == LIMITS.window // 20
    # Until workers take them.
    assert all(message.priority != 0 for message in await take(database))


async def test_concurrent_suspects_are_limited_per_queue(database: EngineDatabase) -> None:
    await backlog(database, 10, suspect=True)
    await backlog(database, 1, queue=Queue.MAIL, suspect=True)
    await backlog(database, 5)
    taken = await take(database)
    suspects = [message for message in taken if (await row(database, message.id)).suspect]
    assert sorted(message.queue for message in suspects) == sorted(
        [Queue.DEFAULT] * LIMITS.apart + [Queue.MAIL]
    )
    assert len(taken) == len(suspects) + 5
    assert await take(database) == []
    await begin(database, suspects)
    assert await take(database) == []
    await change(database, suspects[0].id, state="succeeded")
    assert len(await take(database)) == 1


STATEMENTS: dict[str, tuple[TextClause, dict[str, Any], str]] = {
    "take": (outbox._TAKE, {"batch": 200, "window": 200}, "ix_jobs_waiting"),
    "take_old": (
        outbox._TAKE_OLD,
        {"patience": timedelta(seconds=60), "share": 10},
        "ix_jobs_waiting",
    ),
    "take_suspects": (outbox._TAKE_SUSPECTS, {"apart": 2}, "ix_jobs_suspect"),
    "republish": (
        outbox._REPUBLISH,
        {"lease": LEASE, "batch": 200, "queues": [], "steps": [], "lengths": []},
        "ix_jobs_published",
    ),
    # Each of these indexes holds the running jobs.
    "running": (
        deaths._RUNNING,
        {"grace": timedelta(seconds=5), "only": None},
        "ix_jobs_running ix_jobs_state_created_at_id ix_jobs_state_kind_created_at_id",
    ),
    "kinds": (
        deaths._KINDS,
        {"remembered": timedelta(minutes=10), "crashing": 3},
        "ix_jobs_deaths",
    ),
}


@pytest.mark.parametrize("name", list(STATEMENTS))
async def test_relay_reads_few_rows_at_any_backlog(database: EngineDatabase, name: str) -> None:
    """Among finished jobs, and among waiting ones."""
    statement, values, index = STATEMENTS[name]
    await backlog(database, 20_000)
    await backlog(database, 20_000, Priority.LOW, Queue.BULK)
    await backlog(database, 5)
    await backlog(database, 5, Priority.URGENT)
    scans = await scans_among_finished(database, statement, values)
    assert "Seq Scan" not in {scan["Node Type"] for scan in scans}
    assert {*index.split()} & {scan["Index Name"] for scan in scans}
    assert sum(scan["Actual Rows"] * scan["Actual Loops"] for scan in scans) < 2500, scans
