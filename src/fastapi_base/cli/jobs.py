"""Commands about background jobs."""

import asyncio
import uuid
from typing import Annotated, Any

import orjson
import typer

from fastapi_base.cli.base import fail, settings_or_exit, with_database
from fastapi_base.core.messaging.queues import Queue
from fastapi_base.core.security.caller import Origin
from fastapi_base.db.session import Database
from fastapi_base.schemas.jobs.job import Status
from fastapi_base.services.jobs import operating
from fastapi_base.tasks.relay import serve

LIMIT = 1000

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
    limit: Annotated[int, typer.Option(min=1, max=LIMIT, help="Maximum number of jobs.")] = 50,
) -> None:
    """List jobs, newest first, as tab-separated columns."""

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
        typer.echo(f"There are more jobs; --limit accepts up to {LIMIT}.", err=True)


@jobs.command()
def show(job_id: JobId) -> None:
    """Show all details of a job except its payload."""

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
        typer.Argument(metavar="JOB_ID", help="A failed or cancelled job."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="All failed jobs of this kind.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Skip the confirmation of --kind.")] = False,
) -> None:
    """Retry a job, or with --kind all jobs of a kind that failed permanently.

    The attempt counter of each job starts over.
    """
    if (job_id is None) == (kind is None):
        raise typer.BadParameter("exactly one of JOB_ID and --kind is required")
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
    """Cancel a job: immediately while queued, within about a second while running."""

    async def end(database: Database) -> Status:
        async with database.transaction() as session:
            return await operating.cancel(session, job_id, Origin())

    state = with_database(end, job_id)
    typer.echo(f"{job_id}: {'cancellation requested' if state == 'running' else state}")


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
        fail(f"--kind: there are no failed jobs of kind {kind}. Kinds with failed jobs: {others}")
    if not yes:
        typer.confirm(f"Retry {failed[kind]} failed jobs of kind {kind}?", abort=True)
    typer.echo(f"{kind}: jobs requeued: {with_database(again)}")


def _printable(value: object) -> str:
    # The text of a job must not move the cursor or start a new line or column.
    return "".join(sign if sign.isprintable() else " " for sign in str(value))
