"""Background jobs."""

import uuid
from collections.abc import AsyncIterator
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Header, Response
from fastapi.responses import StreamingResponse
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.api.deps import AnyPrincipal, Requires, ResourcesDep, SessionDep
from fastapi_base.api.idempotency import OnceDep
from fastapi_base.api.openapi import JOB_ADDED, problems
from fastapi_base.api.paging import PAGE_HEADERS, PageRequest, pages
from fastapi_base.core.errors import (
    Conflict,
    DomainError,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InsufficientScope,
    NotAuthenticated,
    NotFound,
    Overloaded,
    Unavailable,
)
from fastapi_base.core.flags import WORD_COUNT
from fastapi_base.core.scopes import Scope
from fastapi_base.schemas.job import JobFilter, JobRead, WordCountRequest
from fastapi_base.services import words
from fastapi_base.services.jobs import queries
from fastapi_base.services.jobs.enqueue import enqueue
from fastapi_base.services.jobs.watch import OVER, version
from fastapi_base.utils.pagination import Page

log = structlog.stdlib.get_logger(__name__)

router = APIRouter(prefix="/jobs", tags=["jobs"])
MayRead = Annotated[AnyPrincipal, Requires(Scope.JOBS_READ)]
MayWrite = Annotated[AnyPrincipal, Requires(Scope.JOBS_WRITE)]
_ALWAYS = (422, NotAuthenticated, InsufficientScope, Overloaded, Unavailable)
_EVENTS = "text/event-stream"


@router.post(
    "/word-count",
    status_code=202,
    summary="Count the words of a text",
    description="Answers at once; the counting is done by a worker. Look at the job under the"
    " address in `Location` until its `status` is `succeeded` or `failed`.",
    response_description="Enqueued",
    responses={
        **JOB_ADDED,
        **problems(
            400,
            413,
            422,
            NotAuthenticated,
            InsufficientScope,
            NotFound,
            IdempotencyKeyInUse,
            IdempotencyKeyReused,
            Overloaded,
            Unavailable,
        ),
    },
)
async def create_word_count(
    body: WordCountRequest,
    principal: MayWrite,
    resources: ResourcesDep,
    response: Response,
    once: OnceDep,
) -> JobRead:
    """Enqueue a word count."""

    if not resources.flags.value(WORD_COUNT, principal.user.id):
        raise NotFound("Word counts are not offered to this account")

    async def submit(session: AsyncSession) -> JobRead:
        added = await enqueue(session, words.WORD_COUNT, body, owner=principal.user.id)
        response.headers["Location"] = f"/api/v1/jobs/{added.id}"
        return await queries.get(await session.connection(), added.id, principal.user.id)

    return await once(JobRead, submit, status=202)


def _sees(principal: AnyPrincipal) -> uuid.UUID | None:
    """Whose jobs: superusers see all."""
    return None if principal.user.is_superuser else principal.user.id


@router.get(
    "",
    summary="List jobs",
    description="One's own, the newest first; superusers see all. Filters are joined by and;"
    " `created_from` is inclusive, `created_before` is not.",
    response_description="A page of jobs",
    responses={**PAGE_HEADERS, **problems(*_ALWAYS)},
)
async def read_jobs(
    principal: MayRead,
    chosen: Annotated[JobFilter, Depends()],
    page: Annotated[PageRequest, pages(queries.LISTING)],
    resources: ResourcesDep,
) -> Page[JobRead]:
    """One page of jobs."""
    async with resources.database.read() as connection:
        return page.reply(await queries.listed(connection, _sees(principal), chosen, page.query))


@router.get(
    "/{job_id}",
    summary="Look at a job",
    description="Its owner sees it, and superusers do, for a week by default after it ended.",
    response_description="The job",
    responses=problems(NotFound, *_ALWAYS),
)
async def read_job(job_id: uuid.UUID, principal: MayRead, resources: ResourcesDep) -> JobRead:
    """How far a job is, and what came of it."""
    async with resources.database.read() as connection:
        return await queries.get(connection, job_id, _sees(principal))


@router.get(
    "/{job_id}/events",
    summary="Watch a job",
    description="Server-sent events: the job as it is now, and again whenever it changes, until it"
    " is over. After a break, `Last-Event-ID` says what was seen; 204 when there is nothing more.",
    response_description="The job, again and again, as data of events named `job`",
    response_class=StreamingResponse,
    responses={
        200: {"content": {_EVENTS: {"schema": {"type": "string"}}}},
        204: {"description": "The job is over, and the caller has seen so"},
        **problems(NotFound, *_ALWAYS),
    },
)
async def watch_job(
    job_id: uuid.UUID,
    principal: MayRead,
    resources: ResourcesDep,
    last_event_id: Annotated[str | None, Header(max_length=64, pattern=r"^[\x20-\x7e]*$")] = None,
) -> Response:
    """How a job comes along."""
    whose = _sees(principal)
    async with resources.database.read() as connection:
        job = await queries.get(connection, job_id, whose)
    if job.status in OVER and version(job) == last_event_id:
        # That is how a browser is told not to come again.
        return Response(status_code=204)
    changes = resources.watch.changes(job_id, whose, last_event_id)
    # No store: what may not be kept is not compressed, and so not held back until there is more.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_lines(changes), media_type=_EVENTS, headers=headers)


async def _lines(changes: AsyncIterator[JobRead | None]) -> AsyncIterator[str]:
    try:
        async for job in changes:
            if job is None:
                # Keeps proxies from taking the connection for dead.
                yield ":\n\n"
            else:
                yield f"id: {version(job)}\nevent: job\ndata: {job.model_dump_json()}\n\n"
    except DomainError as error:
        # The reply has begun: all that is left is to end it. The caller comes again.
        log.info("a stream of events ends early", reason=error.detail)


@router.post(
    "/{job_id}/cancel",
    summary="End a job",
    description="One that waits ends at once, one that runs within about a second, and nothing of"
    " its last attempt takes effect. Ended twice is ended once.",
    response_description="The job as it is now",
    responses=problems(NotFound, Conflict, *_ALWAYS),
)
async def cancel_job(job_id: uuid.UUID, principal: MayWrite, session: SessionDep) -> JobRead:
    """End a job before it is over."""
    return await queries.cancel(session, job_id, _sees(principal))


@router.post(
    "/{job_id}/retry",
    summary="Run a job again",
    description="One that failed for good, or was cancelled.",
    response_description="The job as it is now",
    responses=problems(NotFound, Conflict, *_ALWAYS),
)
async def retry_job(job_id: uuid.UUID, principal: MayWrite, session: SessionDep) -> JobRead:
    """Run a job again."""
    return await queries.retry(session, job_id, _sees(principal))
