"""Import of the caller's items from a file."""

from email.message import Message
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.exceptions import HTTPException

from fastapi_base.api.dependencies.idempotency import OnceDep
from fastapi_base.api.deps import AnyPrincipal, Requires
from fastapi_base.api.openapi import JOB_ENQUEUED, problems
from fastapi_base.core.errors import (
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InsufficientScope,
    NotAuthenticated,
    Overloaded,
    Unavailable,
)
from fastapi_base.core.security.scopes import Scope
from fastapi_base.schemas.items.item import IMPORT_ERRORS, IMPORT_ROWS, ItemsImport
from fastapi_base.schemas.jobs.job import JobRead
from fastapi_base.services.items.items_import import IMPORT
from fastapi_base.services.jobs import queries
from fastapi_base.services.jobs.enqueue import enqueue
from fastapi_base.utils import spreadsheet

router = APIRouter(prefix="/items", tags=["items"])
_CSV, *_ = spreadsheet.MEDIA_TYPES
_EXAMPLE = 'title,description\r\nTeapot,Short and stout\r\n"Cup, blue",\r\n'


async def _csv(request: Request) -> str:
    """The body as text. Raises 415 for another media type and 422 for invalid encoding."""
    kind = Message()
    kind["content-type"] = request.headers.get("content-type", "")
    try:
        charset = spreadsheet.CHARSETS.get(kind.get_content_charset() or "utf-8")
    except TypeError:
        # Python cannot combine a whole parameter and one in parts (RFC 2231, 3).
        charset = None
    if kind.get_content_type() not in spreadsheet.MEDIA_TYPES or charset is None:
        accept = {"Accept": ", ".join(spreadsheet.MEDIA_TYPES)}
        raise HTTPException(415, f"Content-Type must be {spreadsheet.TAKEN}", headers=accept)
    try:
        return spreadsheet.decode(await request.body(), charset)
    except spreadsheet.NotText as error:
        raise _refused(error.at, str(error)) from None


def _refused(at: int, why: str) -> RequestValidationError:
    return RequestValidationError(
        [{"type": "csv_invalid", "loc": ("body", at), "msg": why, "input": {}}]
    )


@router.post(
    "/imports",
    status_code=202,
    summary="Import items",
    response_description="Enqueued",
    description="Creates an item from each row of a CSV file, as written by the export or a"
    " spreadsheet. The header must contain `title` and may contain `description`, in any case; the"
    " export's other columns, empty rows and empty columns are ignored. The separator is a comma,"
    " semicolon or tab, detected from the header or from a first line such as `sep=;`. The charset"
    " is UTF-8 unless Content-Type says `windows-1252` or a byte order mark says UTF-16;"
    f" `application/csv` and `application/vnd.ms-excel` are treated as `{_CSV}`. At most"
    f" {IMPORT_ROWS} rows. The job's `result` contains counts and the first {IMPORT_ERRORS} errors"
    " with line, column and message. If any row is invalid, no item is created, so that the"
    " corrected file can be sent again; with `partial` the valid rows are imported.",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {_CSV: {"schema": {"type": "string"}, "example": _EXAMPLE}},
        }
    },
    responses={
        **JOB_ENQUEUED,
        **problems(
            *(400, 413, 415, 422),
            IdempotencyKeyInUse,
            IdempotencyKeyReused,
            NotAuthenticated,
            InsufficientScope,
            Overloaded,
            Unavailable,
        ),
    },
)
async def import_items(
    caller: Annotated[AnyPrincipal, Requires(Scope.ITEMS_WRITE)],
    text: Annotated[str, Depends(_csv)],
    response: Response,
    once: OnceDep,
    partial: Annotated[
        bool, Query(description="Import valid rows even if others are invalid.")
    ] = False,
    escaped: Annotated[
        bool,
        Query(
            alias="escape_formulas",
            description="Remove the apostrophes added by an export with this option.",
        ),
    ] = False,
) -> JobRead:
    """Enqueue an import."""
    owner = caller.user.id

    async def submit(session: AsyncSession) -> JobRead:
        payload = ItemsImport(text=text, partial=partial, escape_formulas=escaped)
        # One at a time per owner, so that no owner's files delay those of others.
        order = f"{IMPORT.name}:{owner}"
        added = await enqueue(session, IMPORT, payload, owner=owner, order_key=order)
        response.headers["Location"] = f"/api/v1/jobs/{added.id}"
        return await queries.get(await session.connection(), added.id, owner)

    return await once(JobRead, submit, status=202)
