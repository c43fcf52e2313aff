"""The caller's items."""

import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.api.dependencies.idempotency import OnceDep
from fastapi_base.api.dependencies.paging import PAGE_HEADERS, PageRequest, pages
from fastapi_base.api.dependencies.preconditions import FreshnessDep, IfMatchDep, etag, tagged
from fastapi_base.api.deps import AnyPrincipal, OriginDep, Requires, ResourcesDep, SessionDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InsufficientScope,
    NotAuthenticated,
    NotFound,
    Overloaded,
    TooManyAtOnce,
    Unavailable,
    VersionMismatch,
    VersionRequired,
)
from fastapi_base.core.security.scopes import Scope
from fastapi_base.models.items.item import TITLE_LENGTH
from fastapi_base.schemas.items.item import (
    ItemCreate,
    ItemRead,
    ItemsCreate,
    ItemsCreated,
    ItemUpdate,
)
from fastapi_base.schemas.moment import Moment
from fastapi_base.schemas.text import NO_NUL, spaced
from fastapi_base.services.items import items
from fastapi_base.services.items.items_export import ExportFormat, export
from fastapi_base.utils.pagination import Page
from fastapi_base.utils.statements import StatementRunner

router = APIRouter(prefix="/items", tags=["items"])
# People in a session, and programs whose API key has the scope.
Reader = Annotated[AnyPrincipal, Requires(Scope.ITEMS_READ)]
Writer = Annotated[AnyPrincipal, Requires(Scope.ITEMS_WRITE)]
_ALWAYS = (NotAuthenticated, InsufficientScope, Overloaded, Unavailable)
_MEDIA_TYPES: dict[ExportFormat, str] = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
_LOCATION: dict[str, Any] = {"description": "The item.", "schema": {"type": "string"}}

# Possible next requests for a new item (OpenAPI links).
_LINKS: dict[str, Any] = {
    operation: {
        "operationId": operation,
        "parameters": {"path.item_id": "$response.body#/id", **more},
    }
    for operation, more in {
        "read_item": {},
        "update_item": {"header.If-Match": "$response.header.ETag"},
        "delete_item": {"header.If-Match": "$response.header.ETag"},
    }.items()
}


async def _only_export(
    caller: Reader, resources: ResourcesDep, origin: OriginDep
) -> AsyncIterator[None]:
    # Held until the response is sent or the connection ends.
    async with resources.streams.exclusive("export of items", caller.user.id, origin.address):
        yield


async def _filter(
    title_prefix: Annotated[
        str | None,
        Query(max_length=TITLE_LENGTH, pattern=NO_NUL, description="Matches the start of titles."),
        # Stored titles have this form.
        AfterValidator(spaced),
    ] = None,
    created_from: Annotated[
        Moment | None, Query(description="Created at this time or later.")
    ] = None,
    created_before: Annotated[Moment | None, Query(description="Created before this time.")] = None,
) -> items.ItemFilter:
    return items.ItemFilter(title_prefix, created_from, created_before)


@router.get(
    "",
    summary="List my items",
    response_description="A page of items",
    description="Newest first by default. Removed items are excluded.",
    responses={**PAGE_HEADERS, **problems(*_ALWAYS)},
)
async def list_items(
    caller: Reader,
    resources: ResourcesDep,
    page: Annotated[PageRequest, pages(items.LISTING)],
    chosen: Annotated[items.ItemFilter, Depends(_filter)],
) -> Page[ItemRead]:
    """A page of the caller's items."""
    found = await items.listed(resources.database, caller.user.id, chosen, page.query)
    return page.reply(found)


@router.post(
    "",
    status_code=201,
    summary="Create an item",
    response_description="Created",
    description="`Location` contains the URL of the item.",
    responses={
        201: {
            "headers": {**tagged(201)[201]["headers"], "Location": _LOCATION},
            "links": _LINKS,
        },
        **problems(IdempotencyKeyInUse, IdempotencyKeyReused, *_ALWAYS),
    },
)
async def create_item(
    body: ItemCreate, caller: Writer, response: Response, once: OnceDep
) -> ItemRead:
    """A new item."""

    async def create(database: StatementRunner) -> ItemRead:
        item = await items.create(database, caller.user.id, body)
        response.headers["Location"] = f"/api/v1/items/{item.id}"
        response.headers["ETag"] = etag(item.version)
        return item

    return await once.single_statement(ItemRead, create, status=201)


@router.post(
    "/bulk",
    status_code=201,
    summary="Create many items",
    response_description="Created",
    description="Creates all items or none.",
    responses=problems(IdempotencyKeyInUse, IdempotencyKeyReused, *_ALWAYS),
)
async def create_items(body: ItemsCreate, caller: Writer, once: OnceDep) -> ItemsCreated:
    """Many new items."""

    async def create(session: AsyncSession) -> ItemsCreated:
        return ItemsCreated(ids=await items.create_many(session, caller.user.id, body.items))

    return await once(ItemsCreated, create, status=201)


@router.get(
    "/export",
    summary="Export my items",
    response_description="The items, oldest first",
    response_class=StreamingResponse,
    description="All items, as CSV (RFC 4180) with a header or as JSON objects, one per line."
    " An interrupted response is incomplete. Concurrent changes may or may not be included. An"
    " account may have one export at a time; by default it may take an hour.",
    responses={
        200: {
            "content": {kind: {"schema": {"type": "string"}} for kind in _MEDIA_TYPES.values()},
        },
        **problems(TooManyAtOnce, *_ALWAYS),
    },
)
async def export_items(
    caller: Reader,
    resources: ResourcesDep,
    _alone: Annotated[None, Depends(_only_export)],
    form: Annotated[ExportFormat, Query(alias="format", description="The output format.")] = "csv",
    escape: Annotated[
        bool,
        Query(
            alias="escape_formulas",
            description="For CSV opened in spreadsheets: prefix cells that look like formulas with"
            " an apostrophe. The import removes it with the parameter of the same name.",
        ),
    ] = False,
) -> StreamingResponse:
    """All items of the caller."""
    headers = {
        "Content-Disposition": f'attachment; filename="items.{form}"',
        "Accept-Ranges": "none",
    }
    stream = export(resources.database, caller.user.id, form, escape_formulas=escape)
    return StreamingResponse(stream, media_type=_MEDIA_TYPES[form], headers=headers)


@router.get(
    "/{item_id:uuid}",
    summary="Read an item",
    response_description="The item",
    response_model=ItemRead,
    description="Cacheable; revalidate with `If-None-Match`.",
    responses={**tagged(revalidated=True), **problems(NotFound, *_ALWAYS)},
)
async def read_item(
    item_id: uuid.UUID, caller: Reader, resources: ResourcesDep, fresh: FreshnessDep
) -> ItemRead | Response:
    """One item of the caller."""
    item = await items.get(
        resources.cache, resources.database, caller.user.id, item_id, caller.stamp
    )
    return fresh.reply(item.version, item)


@router.patch(
    "/{item_id:uuid}",
    summary="Change an item",
    response_description="The updated item",
    description="Absent members stay unchanged, `null` clears a member (RFC 7396). `If-Match` with"
    " the current `ETag` prevents lost updates.",
    responses={
        **tagged(),
        **problems(NotFound, VersionMismatch, VersionRequired, *_ALWAYS),
    },
)
async def update_item(
    item_id: uuid.UUID,
    body: ItemUpdate,
    caller: Writer,
    versions: IfMatchDep,
    session: SessionDep,
    resources: ResourcesDep,
    response: Response,
) -> ItemRead:
    """Change one item of the caller."""
    item = await items.change(
        session, resources.cache, caller.user.id, item_id, versions, body.changes()
    )
    response.headers["ETag"] = etag(item.version)
    return item


@router.delete(
    "/{item_id:uuid}",
    status_code=204,
    summary="Remove an item",
    response_description="Removed",
    description="The item can be restored for 30 days.",
    responses=problems(NotFound, VersionMismatch, VersionRequired, *_ALWAYS),
)
async def delete_item(
    item_id: uuid.UUID,
    caller: Writer,
    versions: IfMatchDep,
    session: SessionDep,
    resources: ResourcesDep,
) -> None:
    """Remove one item of the caller."""
    await items.remove(session, resources.cache, caller.user.id, item_id, versions)


@router.post(
    "/{item_id:uuid}/restore",
    summary="Restore a removed item",
    response_description="The restored item",
    description="Returns 404 if the item is not removed.",
    responses={**tagged(), **problems(NotFound, *_ALWAYS)},
)
async def restore_item(
    item_id: uuid.UUID,
    caller: Writer,
    session: SessionDep,
    resources: ResourcesDep,
    response: Response,
) -> ItemRead:
    """Restore one item of the caller."""
    item = await items.restore(session, resources.cache, caller.user.id, item_id)
    response.headers["ETag"] = etag(item.version)
    return item
