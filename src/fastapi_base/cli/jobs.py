"""Commands about background jobs."""

import asyncio
import uuid
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from fastapi_base.cli.base import (
    LIMIT,
    Json,
    Limit,
    answer,
    fail,
    fields,
    reading,
    settings_or_exit,
    table,
    with_database,
)
from fastapi_base.core.messaging.queues import Queue
from fastapi_base.core.security.caller import Origin
from fastapi_base.db.session import Database
from fastapi_base.schemas.jobs.job import Status
from fastapi_base.services.jobs import operating
from fastapi_base.tasks.relay import serve

jobs = typer.Typer(help="List, retry and cancel background jobs.", no_args_is_help=True)

JobId = Annotated[uuid.UUID, typer.Argument(metavar="JOB_ID", help="Job id, as shown by `list`.")]


def relay() -> None:
    """Publish jobs from PostgreSQL to the broker until stopped. Several instances may run."""
    asyncio.run(serve(settings_or_exit()))


@jobs.command("list")
def list_jobs(
    state: Annotated[Status | None, typer.Option(help="Only jobs in this state.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only jobs of this kind.")] = None,
    queue: Annotated[Queue | None, typer.Option(help="Only jobs in this queue.")] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List jobs, newest first, as tab-separated columns.

    The JSON document has `items`, and `more`: whether there are more than the limit.
    """

    async def find(connection: AsyncConnection) -> Any:
        return await operating.newest(
            connection, state=state, kind=kind, queue=queue, limit=limit + 1
        )

    found = reading(find)
    items, more = found[:limit], len(found) > limit
    heads = ("id", "state", "kind", "queue", "attempts", "created", "error")
    rows = (
        (
            job.id,
            job.state,
            job.kind,
            job.queue,
            f"{job.attempt}/{job.max_attempts}",
            job.created_at,
            job.error,
        )
        for job in items
    )
    answer(as_json, {"items": items, "more": more}, table(heads, rows))
    if more and not as_json:
        typer.echo(f"There are more jobs; --limit accepts up to {LIMIT}.", err=True)


@jobs.command()
def show(job_id: JobId, as_json: Json = False) -> None:
    """Show all details of a job except its payload."""

    async def find(connection: AsyncConnection) -> Any:
        return await operating.one(connection, job_id)

    found = reading(find, job_id)
    answer(as_json, found, fields(found._mapping))


@jobs.command()
def retry(
    job_id: Annotated[
        uuid.UUID | None,
        typer.Argument(metavar="JOB_ID", help="A failed or cancelled job."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="All failed jobs of this kind.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation of --kind.")] = False,
    as_json: Json = False,
) -> None:
    """Retry a job, or with --kind all jobs of a kind that failed permanently.

    The attempt counter of each job starts over.
    """
    if (job_id is None) == (kind is None):
        raise typer.BadParameter("exactly one of JOB_ID and --kind is required")
    if kind is not None:
        _retry_kind(kind, yes, as_json)
    if job_id is not None:
        one = job_id

        async def again(database: Database) -> None:
            async with database.transaction() as session:
                await operating.retry(session, one, Origin())

        with_database(again, job_id)
        answer(as_json, {"id": job_id, "state": "queued"}, f"{job_id}: queued")


@jobs.command()
def cancel(job_id: JobId, as_json: Json = False) -> None:
    """Cancel a job: immediately while queued, within about a second while running."""

    async def end(database: Database) -> Status:
        async with database.transaction() as session:
            return await operating.cancel(session, job_id, Origin())

    state = with_database(end, job_id)
    said = f"{job_id}: {'cancellation requested' if state == 'running' else state}"
    answer(as_json, {"id": job_id, "state": state}, said)


def _retry_kind(kind: str, yes: bool, as_json: bool) -> None:
    async def again(database: Database) -> int:
        async with database.transaction() as session:
            return await operating.retry_failed(session, kind, Origin())

    failed = reading(operating.failed_by_kind)
    if kind not in failed:
        others = ", ".join(f"{name} ({number})" for name, number in failed.items()) or "none"
        fail(f"--kind: there are no failed jobs of kind {kind}. Kinds with failed jobs: {others}")
    if not yes:
        typer.confirm(f"Retry {failed[kind]} failed jobs of kind {kind}?", abort=True, err=True)
    count = with_database(again)
    answer(as_json, {"kind": kind, "retried": count}, f"{kind}: jobs requeued: {count}")
