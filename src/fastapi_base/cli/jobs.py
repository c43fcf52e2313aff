"""Commands about background jobs."""

import asyncio
import uuid
from typing import Annotated, Any

import orjson
import typer

from fastapi_base.cli_base import fail, load_settings, with_database
from fastapi_base.core.caller import Origin
from fastapi_base.core.queues import Queue
from fastapi_base.db.database import Database
from fastapi_base.schemas.job import Status
from fastapi_base.services.jobs import operating
from fastapi_base.tasks.relay import serve

LIMIT = 1000

jobs = typer.Typer(help="See background jobs, run them again, end them.", no_args_is_help=True)

JobId = Annotated[uuid.UUID, typer.Argument(metavar="JOB_ID", help="Which, as `list` shows it.")]


def relay() -> None:
    """Hand jobs from PostgreSQL to the broker, until it is stopped. Several may run."""
    asyncio.run(serve(load_settings()))


@jobs.command("list")
def list_jobs(
    state: Annotated[Status | None, typer.Option(help="Only of this state.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    queue: Annotated[Queue | None, typer.Option(help="Only of this queue.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIMIT, help="At most so many.")] = 50,
) -> None:
    """List jobs, the newest first, with tabs between the columns."""

    async def find(database: Database) -> Any:
        async with database.read() as connection:
            return await operating.newest(
                connection, state=state, kind=kind, queue=queue, limit=limit + 1
            )

    found = with_database(find)
    typer.echo("\t".join(("id", "state", "kind", "queue", "attempts", "created", "error")))
    for job in found[:limit]:
        attempts = f"{job.attempt}/{job.max_attempts}"
        created = job.created_at.isoformat(timespec="seconds")
        columns = (job.id, job.state, job.kind, job.queue, attempts, created, job.error or "")
        typer.echo("\t".join(_printable(column) for column in columns))
    if len(found) > limit:
        typer.echo(f"There are more; --limit takes up to {LIMIT}.", err=True)


@jobs.command()
def show(job_id: JobId) -> None:
    """Show all that is known of a job, except what it was given to do."""

    async def find(database: Database) -> Any:
        async with database.read() as connection:
            return await operating.one(connection, job_id)

    for name, value in with_database(find, job_id)._mapping.items():
        if value is not None:
            shown = orjson.dumps(value).decode() if isinstance(value, dict) else value
            typer.echo(f"{name}: {_printable(shown)}")


@jobs.command()
def retry(
    job_id: Annotated[
        uuid.UUID | None,
        typer.Argument(metavar="JOB_ID", help="One that failed or was cancelled."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="All of this kind that failed.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before many are run.")] = False,
) -> None:
    """Run a job again, or with --kind all of a kind that failed for good.

    Each has all its attempts before it again.
    """
    if (job_id is None) == (kind is None):
        raise typer.BadParameter("give either JOB_ID or --kind")
    if kind is not None:
        _retry_kind(kind, yes)
    if job_id is not None:
        one = job_id

        async def again(database: Database) -> None:
            async with database.transaction() as session:
                await operating.retry(session, one, Origin())

        with_database(again, job_id)
        typer.echo(f"{job_id}: queued")


@jobs.command()
def cancel(job_id: JobId) -> None:
    """End a job: at once while it waits, within about a second while it runs."""

    async def end(database: Database) -> Status:
        async with database.transaction() as session:
            return await operating.cancel(session, job_id, Origin())

    state = with_database(end, job_id)
    typer.echo(f"{job_id}: {'its end is asked for' if state == 'running' else state}")


def _retry_kind(kind: str, yes: bool) -> None:
    async def count(database: Database) -> dict[str, int]:
        async with database.read() as connection:
            return await operating.failed_by_kind(connection)

    async def again(database: Database) -> int:
        async with database.transaction() as session:
            return await operating.retry_failed(session, kind, Origin())

    failed = with_database(count)
    if kind not in failed:
        others = ", ".join(f"{name} ({number})" for name, number in failed.items()) or "none"
        fail(f"--kind: no job of kind {kind} failed. Kinds with failed jobs: {others}")
    if not yes:
        typer.confirm(f"Run {failed[kind]} failed jobs of kind {kind} again?", abort=True)
    typer.echo(f"{kind}: jobs queued again: {with_database(again)}")


def _printable(value: object) -> str:
    # What a job says of itself must not move the cursor, nor begin a line or a column.
    return "".join(sign if sign.isprintable() else " " for sign in str(value))
