"""All data stored about the caller, as an archive."""

import uuid
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import StreamingResponse

from fastapi_base.api.dependencies.preconditions import FreshnessDep, tagged
from fastapi_base.api.deps import CurrentUser, OriginDep, ResourcesDep, SessionDep
from fastapi_base.api.openapi import JOB_ENQUEUED, problems
from fastapi_base.core.errors import (
    NotAuthenticated,
    NotFound,
    Overloaded,
    SessionNeeded,
    TooManyAtOnce,
    Unavailable,
)
from fastapi_base.schemas.jobs.job import JobRead
from fastapi_base.services.jobs import queries
from fastapi_base.services.privacy import account_export, files

router = APIRouter(prefix="/users/me/exports", tags=["users"])
_ALWAYS = (NotAuthenticated, SessionNeeded, Overloaded, Unavailable)
_ZIP = "application/zip"


async def _only_download(
    user: CurrentUser, resources: ResourcesDep, origin: OriginDep
) -> AsyncIterator[None]:
    # Held until the response is sent or the connection ends.
    async with resources.streams.exclusive("download of an export", user.id, origin.address):
        yield


@router.post(
    "",
    status_code=202,
    summary="Export my data",
    description="Enqueues a job that creates a ZIP archive with a JSON file per kind of data:"
    " account, sessions, API keys without their secrets, audit log, jobs and so on. The job's"
    " `result` contains the archive's URL as `href`, valid until `expires_at`. A pending job is"
    " returned instead of starting another. A new archive replaces the last one.",
    response_description="Enqueued, or already pending",
    responses={**JOB_ENQUEUED, **problems(*_ALWAYS)},
)
async def create_export(
    user: CurrentUser, session: SessionDep, origin: OriginDep, response: Response
) -> JobRead:
    """Export all of the caller's data."""
    job = await account_export.request(session, user.id, origin)
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return await queries.get(await session.connection(), job.id, user.id)


@router.get(
    "/{export_id}",
    summary="Download an export",
    description="`ETag` is the digest of the archive; a matching `If-None-Match` returns 304."
    " An account may have one download at a time.",
    response_description="The archive",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {_ZIP: {"schema": {"type": "string", "format": "binary"}}},
            **tagged()[200],
        },
        304: {"description": "The cached version is current"},
        **problems(NotFound, TooManyAtOnce, *_ALWAYS),
    },
)
async def download_export(
    export_id: uuid.UUID,
    user: CurrentUser,
    resources: ResourcesDep,
    fresh: FreshnessDep,
    _alone: Annotated[None, Depends(_only_download)],
) -> Response:
    """The archive that a job of the caller created."""
    async with resources.database.read() as connection:
        file = await files.find(connection, user.id, export_id)
    tag = f'"{file.digest.hex()}"'
    headers = {"ETag": tag, "Cache-Control": "no-store"}
    if fresh.has(tag):
        return Response(status_code=304, headers=headers)
    headers |= {
        "Content-Disposition": f'attachment; filename="{file.name}"',
        # Lets the client detect a truncated response.
        "Content-Length": str(file.size),
        # A range request gets the whole file (RFC 9110, 14.3).
        "Accept-Ranges": "none",
    }
    return StreamingResponse(
        files.read(resources.database, file.id, file.size), media_type=_ZIP, headers=headers
    )
