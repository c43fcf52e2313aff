"""Commands for schedules."""

from datetime import datetime
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from fastapi_base.cli.base import (
    Json,
    answer,
    fail,
    reading,
    settings_or_exit,
    shown,
    table,
    with_database,
)
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
def list_schedules(as_json: Json = False) -> None:
    """List all schedules as tab-separated columns."""
    settings = settings_or_exit()
    known = schedules(settings)

    async def find(connection: AsyncConnection) -> list[timetable.Line]:
        return await timetable.listed(connection, known)

    lines = reading(find, settings=settings)
    rows = (
        (
            line.name,
            line.when,
            "override" if line.overridden else "code",
            line.missed,
            line.next_at or "disabled",
            line.last_at or "never",
        )
        for line in lines
    )
    answer(as_json, lines, table(("name", "when", "from", "missed", "next", "last"), rows))


@schedule.command("set")
def override(name: Name, when: When, as_json: Json = False) -> None:
    """Override the times of a schedule."""
    _say_next(name, _override(name, when), as_json)


@schedule.command()
def reset(name: Name, as_json: Json = False) -> None:
    """Restore the times of a schedule that the code defines."""
    _say_next(name, _override(name, None), as_json)


@schedule.command()
def enable(name: Name, as_json: Json = False) -> None:
    """Enable a schedule. Runs missed while it was disabled are skipped."""
    _say_next(name, _enable(name, on=True), as_json, "enabled, ")


@schedule.command()
def disable(name: Name, as_json: Json = False) -> None:
    """Disable a schedule. A job that it has already enqueued remains."""
    _enable(name, on=False)
    answer(as_json, {"name": name, "next_at": None}, f"{name}: disabled")


@schedule.command()
def run(name: Name, as_json: Json = False) -> None:
    """Enqueue the job of a schedule now, even if the schedule is disabled."""
    chosen = _named(name)

    async def add(database: Database) -> Any:
        async with database.transaction() as session:
            return await timetable.run(session, chosen, Origin())

    job = with_database(add, name)
    answer(as_json, {"name": name, "job": job}, f"{name}: job {job} queued")


def _say_next(name: str, moment: datetime, as_json: bool, before: str = "") -> None:
    said = f"{name}: {before}next at {shown(moment)}"
    answer(as_json, {"name": name, "next_at": moment}, said)


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
