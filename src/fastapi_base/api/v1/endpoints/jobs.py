"""Background jobs."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Response

from fastapi_base.api.deps import AnyPrincipal, Requires, ResourcesDep
from fastapi_base.api.idempotency import OnceDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
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
from fastapi_base.schemas.job import JobRead, WordCountRequest

router = APIRouter(prefix="/jobs", tags=["jobs"])
_LOCATION: dict[int | str, dict[str, Any]] = {
    202: {
        "headers": {
            "Location": {
                "description": "Where to look at the job.",
                "schema": {"type": "string", "format": "uri-reference"},
            }
        }
    }
}


@router.post(
    "/word-count",
    status_code=202,
    summary="Count the words of a text",
    description="Answers at once; the counting is done by a worker. Look at the job under the"
    " address in `Location` until its `status` is `succeeded` or `failed`.",
    response_description="Enqueued",
    responses={
        **_LOCATION,
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
    principal: Annotated[AnyPrincipal, Requires(Scope.JOBS_WRITE)],
    resources: ResourcesDep,
    response: Response,
    once: OnceDep,
) -> JobRead:
    """Enqueue a word count."""

    if not resources.flags.value(WORD_COUNT, principal.user.id):
        raise NotFound("Word counts are not offered to this account")

    async def enqueue() -> JobRead:
        job = await resources.jobs.count_words(principal.user.id, body.text)
        response.headers["Location"] = f"/api/v1/jobs/{job.id}"
        return job

    return await once(JobRead, enqueue, status=202)


@router.get(
    "/{job_id}",
    summary="Look at a job",
    description="Only who enqueued the job can see it, for an hour by default.",
    response_description="The job",
    responses=problems(422, NotAuthenticated, InsufficientScope, NotFound, Overloaded, Unavailable),
)
async def read_job(
    job_id: uuid.UUID,
    principal: Annotated[AnyPrincipal, Requires(Scope.JOBS_READ)],
    resources: ResourcesDep,
) -> JobRead:
    """How far a job is, and what came of it."""
    return await resources.jobs.get(principal.user.id, job_id)
