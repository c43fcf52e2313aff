"""Items of the caller, out of a file."""

from email.message import Message
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.exceptions import HTTPException

from fastapi_base.api.deps import AnyPrincipal, Requires
from fastapi_base.api.idempotency import OnceDep
from fastapi_base.api.openapi import JOB_ADDED, problems
from fastapi_base.core.errors import (
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InsufficientScope,
    NotAuthenticated,
    Overloaded,
    Unavailable,
)
from fastapi_base.core.scopes import Scope
from fastapi_base.schemas.item import IMPORT_ERRORS, IMPORT_ROWS, ItemsImport
from fastapi_base.schemas.job import JobRead
from fastapi_base.services.items_import import IMPORT
from fastapi_base.services.jobs import queries
from fastapi_base.services.jobs.enqueue import enqueue

router = APIRouter(prefix="/items", tags=["items"])
_CSV = "text/csv"
_EXAMPLE = 'title,description\r\nTeapot,Short and stout\r\n"Cup, blue",\r\n'


async def _csv(request: Request) -> str:
    """The body as text, without a byte order mark.

    Another type is refused with 415; what is not UTF-8, or holds a NUL, which PostgreSQL cannot
    keep, with 422.
    """
    kind = Message()
    kind["content-type"] = request.headers.get("content-type", "")
    if kind.get_content_type() != _CSV or kind.get_content_charset("utf-8") != "utf-8":
        raise HTTPException(415, f"Send {_CSV} in UTF-8", headers={"Accept": _CSV})
    body = await request.body()
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(error.start, "The text is not UTF-8") from None
    if "\0" in text:
        raise _refused(body.index(0), "The text holds a NUL")
    return text


def _refused(at: int, why: str) -> RequestValidationError:
    return RequestValidationError(
        [{"type": "csv_invalid", "loc": ("body", at), "msg": why, "input": {}}]
    )


@router.post(
    "/imports",
    status_code=202,
    summary="Import items",
    response_description="Enqueued",
    description="Makes an item of each row of a CSV file (RFC 4180, UTF-8) as the export writes it:"
    " a header with `title` and maybe `description`; the export's other columns are read over."
    f" At most {IMPORT_ROWS} rows. The job's `result` counts them and lists the first"
    f" {IMPORT_ERRORS} errors, with line, column and message. When a row is wrong nothing is made,"
    " so the mended file can be sent again; with `partial` the other rows are.",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {_CSV: {"schema": {"type": "string"}, "example": _EXAMPLE}},
        }
    },
    responses={
        **JOB_ADDED,
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
    partial: Annotated[bool, Query(description="Make the good ones if others are wrong.")] = False,
) -> JobRead:
    """Enqueue an import."""
    owner = caller.user.id

    async def submit(session: AsyncSession) -> JobRead:
        payload = ItemsImport(text=text, partial=partial)
        # One after another: nobody's files hold up those of others.
        order = f"{IMPORT.name}:{owner}"
        added = await enqueue(session, IMPORT, payload, owner=owner, order_key=order)
        response.headers["Location"] = f"/api/v1/jobs/{added.id}"
        return await queries.get(await session.connection(), added.id, owner)

    return await once(JobRead, submit, status=202)
