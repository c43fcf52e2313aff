"""The routes of a resource."""

from string import Template

from ops.template.resource.files.naming import lines, names
from ops.template.resource.specification import Field, Resource

_ENDPOINTS = Template('''"""The caller's $all."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from $package.api.dependencies.idempotency import OnceDep
from $package.api.dependencies.paging import PAGE_HEADERS, PageRequest, pages
from $package.api.dependencies.preconditions import FreshnessDep, IfMatchDep, etag, tagged
from $package.api.deps import AnyPrincipal, Requires, ResourcesDep, SessionDep
from $package.api.openapi import problems
from $package.core.errors import (
    Conflict,
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
from $package.core.security.scopes import Scope
from $package.schemas.$many.$one import (
    ${Model}Create,
    ${Model}Read,
    ${Models}Create,
    ${Models}Created,
    ${Model}Update,
    $types
)
from $package.schemas.moment import Moment
from $package.services.$many import $many
from $package.utils.pagination import Page
from $package.utils.statements import StatementRunner

router = APIRouter(prefix="/$path", tags=["$path"])
# People in a session, and programs whose API key has the scope.
Reader = Annotated[AnyPrincipal, Requires(Scope.${MANY}_READ)]
Writer = Annotated[AnyPrincipal, Requires(Scope.${MANY}_WRITE)]
_ALWAYS = (NotAuthenticated, InsufficientScope, Overloaded, Unavailable)
_LOCATION: dict[str, Any] = {"description": "The $words.", "schema": {"type": "string"}}


async def _filter(
    $filters
    created_from: Annotated[
        Moment | None, Query(description="Created at this time or later.")
    ] = None,
    created_before: Annotated[Moment | None, Query(description="Created before this time.")] = None,
) -> $many.${Model}Filter:
    return $many.${Model}Filter($chosen, created_from, created_before)


@router.get(
    "",
    summary="List my $all",
    response_description="A page of $all",
    description="Newest first by default.",
    responses={**PAGE_HEADERS, **problems(*_ALWAYS)},
)
async def list_$many(
    caller: Reader,
    resources: ResourcesDep,
    page: Annotated[PageRequest, pages($many.LISTING)],
    chosen: Annotated[$many.${Model}Filter, Depends(_filter)],
) -> Page[${Model}Read]:
    """A page of the caller's $all."""
    found = await $many.listed(resources.database, caller.user.id, chosen, page.query)
    return page.reply(found)


@router.post(
    "",
    status_code=201,
    summary="Create $an",
    response_description="Created",
    description="`Location` contains the URL of the $words.",
    responses={
        201: {"headers": {**tagged(201)[201]["headers"], "Location": _LOCATION}},
        **problems($conflict IdempotencyKeyInUse, IdempotencyKeyReused, *_ALWAYS),
    },
)
async def create_$one(
    body: ${Model}Create, caller: Writer, response: Response, once: OnceDep
) -> ${Model}Read:
    """A new $words."""

    async def create(database: StatementRunner) -> ${Model}Read:
        made = await $many.create(database, caller.user.id, body)
        response.headers["Location"] = f"/api/v1/$path/{made.id}"
        response.headers["ETag"] = etag(made.version)
        return made

    return await once.single_statement(${Model}Read, create, status=201)


@router.post(
    "/bulk",
    status_code=201,
    summary="Create many $all",
    response_description="Created",
    description="Creates all $all or none.",
    responses=problems($conflict IdempotencyKeyInUse, IdempotencyKeyReused, *_ALWAYS),
)
async def create_$many(body: ${Models}Create, caller: Writer, once: OnceDep) -> ${Models}Created:
    """Many new $all."""

    async def create(session: AsyncSession) -> ${Models}Created:
        ids = await $many.create_many(session, caller.user.id, body.items)
        return ${Models}Created(ids=ids)

    return await once(${Models}Created, create, status=201)


@router.get(
    "/{${one}_id:uuid}",
    summary="Read $an",
    response_description="The $words",
    response_model=${Model}Read,
    description="Cacheable; revalidate with `If-None-Match`.",
    responses={**tagged(revalidated=True), **problems(NotFound, *_ALWAYS)},
)
async def read_$one(
    ${one}_id: uuid.UUID, caller: Reader, resources: ResourcesDep, fresh: FreshnessDep
) -> ${Model}Read | Response:
    """One $words of the caller."""
    found = await $many.get(resources.database, caller.user.id, ${one}_id)
    return fresh.reply(found.version, found)


@router.patch(
    "/{${one}_id:uuid}",
    summary="Change $an",
    response_description="The updated $words",
    description="Absent members stay unchanged, `null` clears a member (RFC 7396). `If-Match` with"
    " the current `ETag` prevents lost updates.",
    responses={
        **tagged(),
        **problems($conflict NotFound, VersionMismatch, VersionRequired, *_ALWAYS),
    },
)
async def update_$one(
    ${one}_id: uuid.UUID,
    body: ${Model}Update,
    caller: Writer,
    versions: IfMatchDep,
    session: SessionDep,
    response: Response,
) -> ${Model}Read:
    """Change one $words of the caller."""
    changed = await $many.change(session, caller.user.id, ${one}_id, versions, body.changes())
    response.headers["ETag"] = etag(changed.version)
    return changed


@router.delete(
    "/{${one}_id:uuid}",
    status_code=204,
    summary="Remove $an",
    response_description="Removed",
    description="Removal is permanent. Returns 409 while other objects refer to it.",
    responses=problems(Conflict, NotFound, VersionMismatch, VersionRequired, *_ALWAYS),
)
async def delete_$one(
    ${one}_id: uuid.UUID, caller: Writer, versions: IfMatchDep, session: SessionDep
) -> None:
    """Remove one $words of the caller."""
    await $many.remove(session, caller.user.id, ${one}_id, versions)
''')


def _parameter(field: Field, words: str) -> str:
    said = f"Only {words} with this {field.words}."
    kind = f"{field.kind.parameter} | None"
    return f'{field.name}: Annotated[{kind}, Query(description="{said}")] = None,'


def render(resource: Resource, package: str) -> str:
    """The module of the routes."""
    chosen = resource.filters
    conflicts = any(field.unique or field.target for field in resource.fields)
    text = _ENDPOINTS.substitute(
        names(resource, package),
        types="".join(f"{f.kind.parameter},\n" for f in chosen if "type " in f.kind.types),
        filters=lines([_parameter(field, resource.names.many) for field in chosen], 4),
        chosen=", ".join(field.name for field in chosen),
        conflict="Conflict, " if conflicts else "",
    )
    return text.replace("Filter(, ", "Filter(")
