"""Items of the caller."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.api.deps import AnyPrincipal, Requires, ResourcesDep, SessionDep
from fastapi_base.api.idempotency import OnceDep
from fastapi_base.api.openapi import problems
from fastapi_base.api.paging import PAGE_HEADERS, PageRequest, pages
from fastapi_base.api.preconditions import FreshnessDep, IfMatchDep, etag, tagged
from fastapi_base.core.errors import (
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InsufficientScope,
    NotAuthenticated,
    NotFound,
    Overloaded,
    Unavailable,
    VersionMismatch,
    VersionRequired,
)
from fastapi_base.core.scopes import Scope
from fastapi_base.models.item import TITLE_LENGTH
from fastapi_base.schemas.item import ItemCreate, ItemRead, ItemsCreate, ItemsCreated, ItemUpdate
from fastapi_base.schemas.moment import Moment
from fastapi_base.services import items
from fastapi_base.services.items_export import Format, export
from fastapi_base.utils.pagination import Page
from fastapi_base.utils.statements import Runs

router = APIRouter(prefix="/items", tags=["items"])
# People in a session, and programs whose API key has the scope.
Reader = Annotated[AnyPrincipal, Requires(Scope.ITEMS_READ)]
Writer = Annotated[AnyPrincipal, Requires(Scope.ITEMS_WRITE)]
_ALWAYS = (NotAuthenticated, InsufficientScope, Overloaded, Unavailable)
_BODY = (400, 413, 422)
_MEDIA_TYPES: dict[Format, str] = {"csv": "text/csv", "ndjson": "application/x-ndjson"}
_LOCATION: dict[str, Any] = {"description": "The item.", "schema": {"type": "string"}}

# What can be done next with an item that was made (OpenAPI links).
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


async def _filter(
    title_prefix: Annotated[
        str | None,
        Query(max_length=TITLE_LENGTH, pattern=r"^[^\x00]*$", description="How titles begin."),
    ] = None,
    created_from: Annotated[Moment | None, Query(description="Made then or later.")] = None,
    created_before: Annotated[Moment | None, Query(description="Made earlier.")] = None,
) -> items.ItemFilter:
    return items.ItemFilter(title_prefix, created_from, created_before)


@router.get(
    "",
    summary="List my items",
    response_description="A page of items",
    description="The newest first, unless `sort` says otherwise. Removed ones are not in it.",
    responses={**PAGE_HEADERS, **problems(422, *_ALWAYS)},
)
async def read_items(
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
    summary="Make an item",
    response_description="Made",
    description="Its address is in `Location`.",
    responses={
        201: {
            "headers": {**tagged(201)[201]["headers"], "Location": _LOCATION},
            "links": _LINKS,
        },
        **problems(*_BODY, IdempotencyKeyInUse, IdempotencyKeyReused, *_ALWAYS),
    },
)
async def create_item(
    body: ItemCreate, caller: Writer, response: Response, once: OnceDep
) -> ItemRead:
    """A new item."""

    async def create(database: Runs) -> ItemRead:
        item = await items.create(database, caller.user.id, body)
        response.headers["Location"] = f"/api/v1/items/{item.id}"
        response.headers["ETag"] = etag(item.version)
        return item

    return await once.alone(ItemRead, create, status=201)


@router.post(
    "/bulk",
    status_code=201,
    summary="Make many items",
    response_description="All made",
    description="All are made, or none.",
    responses=problems(*_BODY, IdempotencyKeyInUse, IdempotencyKeyReused, *_ALWAYS),
)
async def create_items(body: ItemsCreate, caller: Writer, once: OnceDep) -> ItemsCreated:
    """Many new items."""

    async def create(session: AsyncSession) -> ItemsCreated:
        return ItemsCreated(ids=await items.create_many(session, caller.user.id, body.items))

    return await once(ItemsCreated, create, status=201)


@router.get(
    "/export",
    summary="Export my items",
    response_description="The items, the oldest first",
    response_class=StreamingResponse,
    description="All of them, as CSV (RFC 4180) with a header or as JSON objects, one a line."
    " A reply that breaks off is not whole.",
    responses={
        200: {
            "content": {kind: {"schema": {"type": "string"}} for kind in _MEDIA_TYPES.values()},
        },
        **problems(422, *_ALWAYS),
    },
)
async def export_items(
    caller: Reader,
    resources: ResourcesDep,
    form: Annotated[Format, Query(alias="format", description="How they are written.")] = "csv",
) -> StreamingResponse:
    """All items of the caller."""
    name = {"Content-Disposition": f'attachment; filename="items.{form}"'}
    stream = export(resources.database, caller.user.id, form)
    return StreamingResponse(stream, media_type=_MEDIA_TYPES[form], headers=name)


@router.get(
    "/{item_id:uuid}",
    summary="Look at an item",
    response_description="The item",
    response_model=ItemRead,
    description="May be kept, and is asked for again with `If-None-Match`.",
    responses={**tagged(revalidated=True), **problems(422, NotFound, *_ALWAYS)},
)
async def read_item(
    item_id: uuid.UUID, caller: Reader, resources: ResourcesDep, fresh: FreshnessDep
) -> ItemRead | Response:
    """One item of the caller."""
    item = await items.get(resources.cache, resources.database, caller.user.id, item_id)
    return fresh.reply(item.version, item)


@router.patch(
    "/{item_id:uuid}",
    summary="Change an item",
    response_description="As it is now",
    description="Absent members stay as they are, `null` clears (RFC 7396). `If-Match` says what"
    " the change is based on, so that nobody's change is lost.",
    responses={
        **tagged(),
        **problems(*_BODY, NotFound, VersionMismatch, VersionRequired, *_ALWAYS),
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
    description="It can be restored for 30 days.",
    responses=problems(422, NotFound, VersionMismatch, VersionRequired, *_ALWAYS),
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
    response_description="As it is now",
    description="Answered 404 for one that is not removed.",
    responses={**tagged(), **problems(422, NotFound, *_ALWAYS)},
)
async def restore_item(
    item_id: uuid.UUID,
    caller: Writer,
    session: SessionDep,
    resources: ResourcesDep,
    response: Response,
) -> ItemRead:
    """Bring back one item of the caller."""
    item = await items.restore(session, resources.cache, caller.user.id, item_id)
    response.headers["ETag"] = etag(item.version)
    return item
