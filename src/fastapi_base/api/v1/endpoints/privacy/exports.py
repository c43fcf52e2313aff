"""All that is kept of the caller, as an archive."""

import uuid

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from fastapi_base.api.deps import CurrentUser, OriginDep, ResourcesDep, SessionDep
from fastapi_base.api.openapi import JOB_ADDED, problems
from fastapi_base.api.preconditions import FreshnessDep, tagged
from fastapi_base.core.errors import (
    NotAuthenticated,
    NotFound,
    Overloaded,
    SessionNeeded,
    Unavailable,
)
from fastapi_base.schemas.job import JobRead
from fastapi_base.services import account_export, files
from fastapi_base.services.jobs import queries

router = APIRouter(prefix="/users/me/exports", tags=["users"])
_ALWAYS = (NotAuthenticated, SessionNeeded, Overloaded, Unavailable)
_ZIP = "application/zip"


@router.post(
    "",
    status_code=202,
    summary="Export my data",
    description="A job that makes a ZIP archive with a JSON file for each kind of data: account,"
    " sessions, keys without what makes them keys, audit log, jobs and so on. Its `result` has the"
    " archive's address as `href`, good until `expires_at`. While one is being made, no other is"
    " begun; a new archive takes the place of the last one.",
    response_description="Enqueued, or enqueued before",
    responses={**JOB_ADDED, **problems(*_ALWAYS)},
)
async def create_export(
    user: CurrentUser, session: SessionDep, origin: OriginDep, response: Response
) -> JobRead:
    """Have all of the caller's data exported."""
    job = await account_export.ask(session, user.id, origin)
    response.headers["Location"] = f"/api/v1/jobs/{job.id}"
    return await queries.get(await session.connection(), job.id, user.id)


@router.get(
    "/{export_id}",
    summary="Download an export",
    description="`ETag` is made from the archive's bytes; `If-None-Match` with it is answered 304.",
    response_description="The archive",
    response_class=StreamingResponse,
    responses={
        200: {
            "content": {_ZIP: {"schema": {"type": "string", "format": "binary"}}},
            **tagged()[200],
        },
        304: {"description": "The caller has it"},
        **problems(422, NotFound, *_ALWAYS),
    },
)
async def download_export(
    export_id: uuid.UUID, user: CurrentUser, resources: ResourcesDep, fresh: FreshnessDep
) -> Response:
    """The archive that a job of the caller's made."""
    async with resources.database.read() as connection:
        file = await files.find(connection, user.id, export_id)
    tag = f'"{file.digest.hex()}"'
    headers = {"ETag": tag, "Cache-Control": "no-store"}
    if fresh.has(tag):
        return Response(status_code=304, headers=headers)
    headers |= {
        "Content-Disposition": f'attachment; filename="{file.name}"',
        # A reply that breaks off can be told by it.
        "Content-Length": str(file.size),
    }
    return StreamingResponse(
        files.read(resources.database, file.id), media_type=_ZIP, headers=headers
    )
