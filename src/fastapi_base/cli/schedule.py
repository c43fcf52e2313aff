"""Commands for schedules."""

from datetime import datetime
from typing import Annotated, Any

import typer

from fastapi_base.cli.base import fail, settings_or_exit, with_database
from fastapi_base.core.security.caller import Origin
from fastapi_base.db.session import Database
from fastapi_base.services.jobs import timetable
from fastapi_base.services.jobs.schedules import Schedule
from fastapi_base.services.jobs.when import BadWhen
from fastapi_base.tasks.schedules import schedules

schedule = typer.Typer(
    help="List and change the schedules of Beat at run time.",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Schedule name, as shown by `list`.")]
When = Annotated[
    str,
    typer.Argument(
        metavar="WHEN",
        help='An interval such as "every 15m" (s, m, h, d; in UTC), or five cron fields with an'
        ' optional time zone: "30 2 * * MON Europe/Berlin".',
    ),
]


@schedule.command("list")
def list_schedules() -> None:
    """List all schedules as tab-separated columns."""
    known = schedules(settings_or_exit())

    async def find(database: Database) -> list[timetable.Line]:
        async with database.read() as connection:
            return await timetable.listed(connection, known)

    lines = with_database(find)
    typer.echo("\t".join(("name", "when", "from", "missed", "next", "last")))
    for line in lines:
        source = "override" if line.overridden else "code"
        next_at = _shown(line.next_at) if line.next_at else "disabled"
        columns = (line.name, line.when, source, line.missed, next_at, _shown(line.last_at))
        typer.echo("\t".join(columns))


@schedule.command("set")
def override(name: Name, when: When) -> None:
    """Override the times of a schedule."""
    typer.echo(f"{name}: next at {_shown(_override(name, when))}")


@schedule.command()
def reset(name: Name) -> None:
    """Restore the times of a schedule that the code defines."""
    typer.echo(f"{name}: next at {_shown(_override(name, None))}")


@schedule.command()
def enable(name: Name) -> None:
    """Enable a schedule. Runs missed while it was disabled are skipped."""
    typer.echo(f"{name}: enabled, next at {_shown(_enable(name, on=True))}")


@schedule.command()
def disable(name: Name) -> None:
    """Disable a schedule. A job that it has already enqueued remains."""
    _enable(name, on=False)
    typer.echo(f"{name}: disabled")


@schedule.command()
def run(name: Name) -> None:
    """Enqueue the job of a schedule now, even if the schedule is disabled."""
    chosen = _named(name)

    async def add(database: Database) -> Any:
        async with database.transaction() as session:
            return await timetable.run(session, chosen, Origin())

    typer.echo(f"{name}: job {with_database(add, name)} queued")


def _override(name: str, when: str | None) -> datetime:
    chosen = _named(name)

    async def change(database: Database) -> datetime:
        async with database.transaction() as session:
            return await timetable.override(session, chosen, when, Origin())

    try:
        return with_database(change, name)
    except BadWhen as error:
        fail(f"WHEN: {when!r} is invalid: {error}")


def _enable(name: str, *, on: bool) -> datetime:
    chosen = _named(name)

    async def change(database: Database) -> datetime:
        async with database.transaction() as session:
            return await timetable.enable(session, chosen, Origin(), on=on)

    return with_database(change, name)


def _named(name: str) -> Schedule[Any]:
    known = {one.name: one for one in schedules(settings_or_exit())}
    if name not in known:
        fail(f"NAME: the schedule {name} does not exist. Schedules: {', '.join(sorted(known))}")
    return known[name]


def _shown(moment: datetime | None) -> str:
    return "never" if moment is None else moment.isoformat(timespec="seconds")
