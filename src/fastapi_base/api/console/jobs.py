"""Background jobs, and the mails among them."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from pydantic import TypeAdapter

from fastapi_base.api.console.filters import chosen
from fastapi_base.api.console.operators import ActingDep, ActingRecentDep, OperatorDep, RecentDep
from fastapi_base.api.console.site import neighbours, page, redirect
from fastapi_base.api.dependencies.paging import PageRequest, pages
from fastapi_base.api.deps import OriginDep, ResourcesDep, SessionDep
from fastapi_base.models.jobs.job import KIND_LENGTH, STATES
from fastapi_base.schemas.jobs.job import JobFilter
from fastapi_base.services.identity import overview
from fastapi_base.services.jobs import backlog, operating, queries
from fastapi_base.services.mail.request import MAIL

router = APIRouter()
_FILTER = TypeAdapter(JobFilter)
_KIND = r"^[a-z0-9-]+$"


@router.get("/jobs")
async def list_jobs(
    request: Request,
    operator: OperatorDep,
    resources: ResourcesDep,
    asked: Annotated[PageRequest, pages(queries.LISTING)],
    owner: uuid.UUID | None = None,
) -> Response:
    """The queues, the failed jobs of each kind, and one page of jobs."""
    fields = ("status", "kind", "created_from", "created_before")
    filters = chosen(request, _FILTER, *fields)
    found = await queries.listed(resources.database, owner, filters, asked.query)
    async with resources.database.read() as connection:
        unfinished = await backlog.count(connection)
        failed = await operating.failed_by_kind(connection, backlog.MOST)
    return page(
        request,
        "jobs.html",
        operator=operator,
        jobs=found.items,
        links=neighbours(request, found),
        states=STATES,
        unfinished=sorted(unfinished, key=lambda row: (row.queue, row.state)),
        failed=failed,
        owner=owner,
    )


@router.get("/mails")
async def list_mails(
    request: Request,
    operator: OperatorDep,
    resources: ResourcesDep,
    asked: Annotated[PageRequest, pages(queries.LISTING)],
) -> Response:
    """One page of mails: the jobs that send them."""
    filters = chosen(request, _FILTER, "status", "created_from", "created_before", kind=MAIL.name)
    found = await queries.listed(resources.database, None, filters, asked.query)
    return page(
        request,
        "mails.html",
        operator=operator,
        jobs=found.items,
        links=neighbours(request, found),
        states=STATES,
        enabled=resources.mailer.enabled,
        kind=MAIL.name,
        attempts=MAIL.attempts,
    )


@router.get("/jobs/retry-failed")
async def confirm_retry_failed(
    request: Request,
    operator: RecentDep,
    resources: ResourcesDep,
    kind: Annotated[str, Query(max_length=KIND_LENGTH, pattern=_KIND)],
) -> Response:
    """The page that asks whether to run all failed jobs of a kind again."""
    async with resources.database.read() as connection:
        failed = await operating.failed_by_kind(connection)
    return page(
        request,
        "retry_failed.html",
        operator=operator,
        kind=kind,
        count=failed.get(kind, 0),
    )


@router.post("/jobs/retry-failed")
async def retry_failed(
    request: Request,
    operator: ActingRecentDep,
    session: SessionDep,
    origin: OriginDep,
    kind: Annotated[str, Form(max_length=KIND_LENGTH, pattern=_KIND)],
) -> Response:
    """Run all failed jobs of a kind again."""
    await operating.retry_failed(session, kind, origin, actor=operator.user.id)
    return redirect(request, "/jobs", done="retry-failed")


@router.get("/jobs/{job_id:uuid}")
async def read_job(
    request: Request, job_id: uuid.UUID, operator: OperatorDep, resources: ResourcesDep
) -> Response:
    """A job with its error, and its payload without texts."""
    async with resources.database.read() as connection:
        job = await operating.one(connection, job_id)
        payload = await operating.redacted_payload(connection, job_id)
        emails = await overview.emails(connection, [job.owner_id] if job.owner_id else [])
    return page(request, "job.html", operator=operator, job=job, payload=payload, emails=emails)


@router.post("/jobs/{job_id:uuid}/retry")
async def retry_job(
    request: Request,
    job_id: uuid.UUID,
    operator: ActingDep,
    session: SessionDep,
    origin: OriginDep,
) -> Response:
    """Run a failed or cancelled job again."""
    await operating.retry(session, job_id, origin, actor=operator.user.id)
    return redirect(request, f"/jobs/{job_id}", done="retry")


@router.post("/jobs/{job_id:uuid}/cancel")
async def cancel_job(
    request: Request,
    job_id: uuid.UUID,
    operator: ActingDep,
    session: SessionDep,
    origin: OriginDep,
) -> Response:
    """Cancel a job that has not finished."""
    await operating.cancel(session, job_id, origin, actor=operator.user.id)
    return redirect(request, f"/jobs/{job_id}", done="cancel")
