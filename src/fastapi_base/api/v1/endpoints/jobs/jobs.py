"""Background jobs."""

import uuid
from collections.abc import AsyncIterator
from typing import Annotated

import structlog
from fastapi import APIRouter, Depends, Header, Response
from fastapi.responses import StreamingResponse
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.api.dependencies.idempotency import OnceDep
from fastapi_base.api.dependencies.paging import PAGE_HEADERS, PageRequest, pages
from fastapi_base.api.deps import AnyPrincipal, OriginDep, Requires, ResourcesDep, SessionDep
from fastapi_base.api.openapi import JOB_ENQUEUED, problems
from fastapi_base.core.errors import (
    Conflict,
    DomainError,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InsufficientScope,
    NotAuthenticated,
    NotFound,
    Overloaded,
    TooManyAtOnce,
    Unavailable,
)
from fastapi_base.core.flags import WORD_COUNT
from fastapi_base.core.security.scopes import Scope
from fastapi_base.schemas.jobs.job import JobFilter, JobRead, WordCountRequest
from fastapi_base.services import words
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity.api_keys import KeyPrincipal
from fastapi_base.services.jobs import operating, queries
from fastapi_base.services.jobs.enqueue import enqueue
from fastapi_base.services.jobs.watch import version
from fastapi_base.utils.pagination import Page

log = structlog.stdlib.get_logger(__name__)

router = APIRouter(prefix="/jobs", tags=["jobs"])
MayRead = Annotated[AnyPrincipal, Requires(Scope.JOBS_READ)]
MayWrite = Annotated[AnyPrincipal, Requires(Scope.JOBS_WRITE)]
_ALWAYS = (NotAuthenticated, InsufficientScope, Overloaded, Unavailable)
_EVENTS = "text/event-stream"


@router.post(
    "/word-count",
    status_code=202,
    summary="Count the words of a text",
    description="Returns immediately; a worker does the counting. Poll the job at the URL in"
    " `Location` until its `status` is `succeeded` or `failed`.",
    response_description="Enqueued",
    responses={
        **JOB_ENQUEUED,
        **problems(
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
        raise NotFound("Word counts are not enabled for this account")

    async def submit(session: AsyncSession) -> JobRead:
        added = await enqueue(session, words.WORD_COUNT, body, owner=principal.user.id)
        response.headers["Location"] = f"/api/v1/jobs/{added.id}"
        return await queries.get(await session.connection(), added.id, principal.user.id)

    return await once(JobRead, submit, status=202)


def _sees(principal: AnyPrincipal) -> uuid.UUID | None:
    """The owner whose jobs the caller may see; superusers see all."""
    return None if principal.user.is_superuser else principal.user.id


def _may_change(principal: AnyPrincipal) -> uuid.UUID | None:
    """The owner whose jobs the caller may cancel or retry; None means any owner.

    An API key acts only on the jobs of its owner, even for a superuser: a leaked key must not
    suppress mails to others, which would warn them of it.
    """
    return principal.user.id if isinstance(principal, KeyPrincipal) else _sees(principal)


@router.get(
    "",
    summary="List jobs",
    description="The caller's jobs, newest first; superusers see all jobs. Filters are combined"
    " with AND. `created_from` is inclusive, `created_before` is exclusive.",
    response_description="A page of jobs",
    responses={**PAGE_HEADERS, **problems(*_ALWAYS)},
)
async def list_jobs(
    principal: MayRead,
    chosen: Annotated[JobFilter, Depends()],
    page: Annotated[PageRequest, pages(queries.LISTING)],
    resources: ResourcesDep,
) -> Page[JobRead]:
    """One page of jobs."""
    found = await queries.listed(resources.database, _sees(principal), chosen, page.query)
    return page.reply(found)


@router.get(
    "/{job_id}",
    summary="Read a job",
    description="Visible to its owner and to superusers, by default for a week after it finished.",
    response_description="The job",
    responses=problems(NotFound, *_ALWAYS),
)
async def read_job(job_id: uuid.UUID, principal: MayRead, resources: ResourcesDep) -> JobRead:
    """The state and result of a job."""
    async with resources.database.read() as connection:
        return await queries.get(connection, job_id, _sees(principal))


async def _one_of_few(
    principal: MayRead, resources: ResourcesDep, origin: OriginDep
) -> AsyncIterator[None]:
    # Held until the stream ends or the connection closes.
    with resources.streams.few("stream of events", principal.user.id, origin.address):
        yield


@router.get(
    "/{job_id}/events",
    summary="Watch a job",
    description="Server-sent events: the current job, then the job after each change, until it is"
    " finished. `Last-Event-ID` resumes after a break; the response is 204 when no events remain."
    " By default, an account may have ten streams per process.",
    response_description="Events named `job`, each with the job as data",
    response_class=StreamingResponse,
    responses={
        200: {"content": {_EVENTS: {"schema": {"type": "string"}}}},
        204: {"description": "The job is finished and no events remain"},
        **problems(NotFound, TooManyAtOnce, *_ALWAYS),
    },
)
async def watch_job(
    job_id: uuid.UUID,
    principal: MayRead,
    resources: ResourcesDep,
    _few: Annotated[None, Depends(_one_of_few)],
    last_event_id: Annotated[str | None, Header(max_length=64, pattern=r"^[\x20-\x7e]*$")] = None,
) -> Response:
    """The progress of a job."""
    changes = resources.watch.changes(job_id, _sees(principal), last_event_id)
    try:
        first = await anext(changes)
    except StopAsyncIteration:
        # This status tells a browser not to reconnect.
        return Response(status_code=204)
    # With no-store the stream is not compressed, and so not buffered.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_lines(first, changes), media_type=_EVENTS, headers=headers)


async def _lines(
    first: JobRead | None, changes: AsyncIterator[JobRead | None]
) -> AsyncIterator[str]:
    yield _line(first)
    try:
        async for job in changes:
            yield _line(job)
    except DomainError as error:
        # The response has begun, so the stream can only end. The client reconnects.
        log.info("event stream ended early", reason=error.detail)


def _line(job: JobRead | None) -> str:
    if job is None:
        # Keeps proxies from closing an idle connection.
        return ":\n\n"
    return f"id: {version(job)}\nevent: job\ndata: {job.model_dump_json()}\n\n"


@router.post(
    "/{job_id}/cancel",
    summary="Cancel a job",
    description="A queued job ends immediately, a running one within about a second, and its last"
    " attempt has no effect. Cancelling is idempotent.",
    response_description="The updated job",
    responses=problems(NotFound, Conflict, *_ALWAYS),
)
async def cancel_job(
    job_id: uuid.UUID, principal: MayWrite, session: SessionDep, origin: OriginDep
) -> JobRead:
    """Cancel a job before it finishes."""
    whose = _may_change(principal)
    job = await queries.cancel(session, job_id, whose)
    if whose is None:
        await operating.record(session, Action.JOB_CANCELLED, job_id, origin, principal.user.id)
    return job


@router.post(
    "/{job_id}/retry",
    summary="Run a job again",
    description="Retries a job that failed permanently or was cancelled.",
    response_description="The updated job",
    responses=problems(NotFound, Conflict, *_ALWAYS),
)
async def retry_job(
    job_id: uuid.UUID, principal: MayWrite, session: SessionDep, origin: OriginDep
) -> JobRead:
    """Run a job again."""
    whose = _may_change(principal)
    job = await queries.retry(session, job_id, whose)
    if whose is None:
        await operating.record(session, Action.JOB_RETRIED, job_id, origin, principal.user.id)
    return job
