"""Import of the caller's items from a file."""

from email.message import Message
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.datastructures import UploadFile
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
_FORM = "multipart/form-data"
# What programs send for files whose type they do not know.
_UNTYPED = "application/octet-stream"
_EXAMPLE = 'title,description\r\nTeapot,Short and stout\r\n"Cup, blue",\r\n'


async def _csv(request: Request) -> str:
    """The body, or the file of a form, as text.

    Raises 415 for another media type and 422 for invalid encoding.
    """
    body = await request.body()
    kind = _media_type(request.headers.get("content-type", ""))
    taken: tuple[str, ...] = spreadsheet.MEDIA_TYPES
    accept = (*taken, _FORM)
    if kind.get_content_type() == _FORM:
        async with request.form(max_files=1, max_fields=0) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise _refused("file", "The form must contain a file named file")
            body = await file.read()
            kind = _media_type(file.content_type or _UNTYPED)
        accept = taken
        taken = (*taken, _UNTYPED)
    try:
        charset = spreadsheet.CHARSETS.get(kind.get_content_charset() or "utf-8")
    except TypeError:
        # Python cannot combine a whole parameter and one in parts (RFC 2231, 3).
        charset = None
    if kind.get_content_type() not in taken or charset is None:
        said = f"Content-Type must be {spreadsheet.TAKEN}"
        if _FORM in accept:
            said += f", or {_FORM}"
        raise HTTPException(415, said, headers={"Accept": ", ".join(accept)})
    try:
        return spreadsheet.decode(body, charset)
    except spreadsheet.NotText as error:
        raise _refused(error.at, str(error)) from None


def _media_type(written: str) -> Message:
    message = Message()
    message["content-type"] = written
    return message


def _refused(at: int | str, why: str) -> RequestValidationError:
    return RequestValidationError(
        [{"type": "csv_invalid", "loc": ("body", at), "msg": why, "input": {}}]
    )


@router.post(
    "/imports",
    status_code=202,
    summary="Import items",
    response_description="Enqueued",
    description="Creates an item from each row of a CSV file, as written by the export or a"
    f" spreadsheet. The file is the body, or the part `file` of `{_FORM}`. The header must contain"
    " `title` and may contain `description`, in any case; the export's other columns, empty rows"
    " and empty columns are ignored. The separator is a comma, semicolon or tab, detected from the"
    " header or from a first line such as `sep=;`. The charset is UTF-8 unless Content-Type says"
    " `windows-1252` or a byte order mark says UTF-16; `application/csv` and"
    f" `application/vnd.ms-excel` are treated as `{_CSV}`. At most {IMPORT_ROWS} rows. The job's"
    f" `result` contains counts and the first {IMPORT_ERRORS} errors with line, column and message."
    " If any row is invalid, no item is created, so that the corrected file can be sent again; with"
    " `partial` the valid rows are imported.",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                _CSV: {"schema": {"type": "string"}, "example": _EXAMPLE},
                _FORM: {
                    "schema": {
                        "title": "ItemsFile",
                        "description": "A CSV file.",
                        "type": "object",
                        "required": ["file"],
                        "properties": {
                            "file": {"type": "string", "format": "binary", "examples": [_EXAMPLE]}
                        },
                    },
                    "encoding": {"file": {"contentType": ", ".join(spreadsheet.MEDIA_TYPES)}},
                },
            },
        }
    },
    responses={
        **JOB_ENQUEUED,
        **problems(
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
