"""The schedules of recurring jobs."""

from datetime import datetime, timedelta
from typing import Any, Literal

from fastapi import APIRouter, Request, Response

from fastapi_base.api.console.operators import ActingRecentDep, OperatorDep
from fastapi_base.api.console.site import page, redirect, site_of
from fastapi_base.api.deps import OriginDep, ResourcesDep, SessionDep
from fastapi_base.core.errors import NotFound
from fastapi_base.services.jobs import timetable
from fastapi_base.services.jobs.schedules import Schedule
from fastapi_base.services.jobs.when import parse

router = APIRouter()
_MOMENTS = 3


@router.get("/schedules")
async def list_schedules(
    request: Request, operator: OperatorDep, resources: ResourcesDep
) -> Response:
    """All schedules with their next moments."""
    known = site_of(request).schedules
    async with resources.database.read() as connection:
        lines = await timetable.listed(connection, known)
    runnable = {one.name for one in known if one.kind is not None}
    rows = [(line, _moments(line), line.name in runnable) for line in lines]
    return page(request, "schedules.html", operator=operator, rows=rows)


def _moments(line: timetable.Line) -> list[datetime]:
    """The next moments; none while it is paused."""
    if line.next_at is None:
        return []
    times, found = parse(line.when), [line.next_at]
    while len(found) < _MOMENTS:
        found.append(times.after(found[-1] + timedelta(microseconds=1)))
    return found


@router.post("/schedules/{name}/{action}")
async def act(
    request: Request,
    name: str,
    action: Literal["pause", "resume", "run"],
    operator: ActingRecentDep,
    session: SessionDep,
    origin: OriginDep,
) -> Response:
    """Pause or resume a schedule, or run its job now."""
    schedule = _named(request, name)
    me = operator.user.id
    if action == "run":
        job_id = await timetable.run(session, schedule, origin, actor=me)
        return redirect(request, f"/jobs/{job_id}")
    await timetable.enable(session, schedule, origin, on=action == "resume", actor=me)
    return redirect(request, "/schedules", done=action)


def _named(request: Request, name: str) -> Schedule[Any]:
    for schedule in site_of(request).schedules:
        if schedule.name == name:
            return schedule
    raise NotFound("The schedule does not exist")
