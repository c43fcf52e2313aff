"""API keys: make, list, rotate, revoke, and find out whose one is."""

import asyncio
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.api_key import SHOWN, new_key, well_formed
from fastapi_base.core.caller import Origin
from fastapi_base.core.errors import (
    DomainError,
    InsufficientScope,
    NotAuthenticated,
    NotFound,
    TooManyKeys,
)
from fastapi_base.core.ids import uuid7
from fastapi_base.core.opaque import digest
from fastapi_base.core.scopes import Scope, of_role
from fastapi_base.db.database import Database
from fastapi_base.models.api_key import ApiKey
from fastapi_base.models.user import User
from fastapi_base.schemas.api_key import ApiKeyCreated, ApiKeyRead
from fastapi_base.schemas.user import UserRead
from fastapi_base.services import audit, users
from fastapi_base.services.audit import Action
from fastapi_base.utils.pagination import Listing, Page, PageQuery, fetch

log = structlog.stdlib.get_logger(__name__)

MAX_KEYS = 50
USE_RESOLUTION = timedelta(minutes=1)
LISTING = Listing(
    "api-keys",
    col(ApiKey.id),
    {"created_at": col(ApiKey.created_at), "last_used_at": col(ApiKey.last_used_at)},
    default="-created_at",
)
_READ = select(*(col(getattr(ApiKey, name)) for name in ApiKeyRead.model_fields))


@dataclass(frozen=True, slots=True)
class KeyPrincipal:
    """A program that calls by a key of this user, and what it may do."""

    user: UserRead
    key_id: uuid.UUID
    scopes: frozenset[Scope]


class UseRecorder:
    """Writes when keys were last used, beside the requests and at most once a minute for each."""

    def __init__(self) -> None:
        self._tasks: dict[uuid.UUID, asyncio.Task[None]] = {}

    def note(self, database: Database, key_id: uuid.UUID, last_used: datetime | None) -> None:
        """The key is used now, and was last known to be used at `last_used`."""
        now = datetime.now(UTC)
        if key_id in self._tasks or (last_used and now - last_used < USE_RESOLUTION):
            return
        task = asyncio.create_task(self._write(database, key_id, now))
        self._tasks[key_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(key_id, None))

    async def close(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._tasks.values())

    async def _write(self, database: Database, key_id: uuid.UUID, now: datetime) -> None:
        used = col(ApiKey.last_used_at)
        statement = (
            update(ApiKey)
            # Another process may have written it meanwhile.
            .where(col(ApiKey.id) == key_id, or_(used.is_(None), used <= now - USE_RESOLUTION))
            .values(last_used_at=now)
        )
        try:
            async with database.transaction() as session:
                await session.exec(statement)
        except DomainError as error:
            log.info("the use of an API key was not written down", reason=error.detail)


async def identify(database: Database, recorder: UseRecorder, key: str) -> KeyPrincipal:
    """The caller with this key. Raises NotAuthenticated for every kind of bad key.

    Asks the database each time, so a key that was revoked, and one whose owner is not active any
    more, is refused from the next request on. What the owner may not do any more, the key may not.
    """
    if not well_formed(key):
        raise NotAuthenticated
    statement = (
        users.READ.add_columns(
            col(ApiKey.id).label("key_id"), col(ApiKey.scopes), col(ApiKey.last_used_at)
        )
        .join(ApiKey, col(ApiKey.user_id) == col(User.id))
        .where(col(ApiKey.digest) == digest(key), *_good(), col(User.is_active))
    )
    async with database.read() as connection:
        row = (await connection.execute(statement)).first()
    if row is None:
        raise NotAuthenticated
    recorder.note(database, row.key_id, row.last_used_at)
    user = UserRead.model_validate(row)
    may = of_role(is_superuser=user.is_superuser)
    return KeyPrincipal(user, row.key_id, frozenset(may & set(row.scopes)))


async def create(
    session: AsyncSession,
    owner: UserRead,
    *,
    name: str,
    scopes: Iterable[Scope],
    days: int,
    origin: Origin,
) -> ApiKeyCreated:
    """Make a key. Raises InsufficientScope, and TooManyKeys."""
    wanted = sorted(set(scopes))
    if missing := set(wanted) - of_role(is_superuser=owner.is_superuser):
        raise InsufficientScope(" ".join(sorted(missing)))
    # One at a time for an account, so that the limit holds.
    await session.scalar(select(col(User.id)).where(col(User.id) == owner.id).with_for_update())
    count = await session.scalar(select(func.count()).where(_own(owner.id), *_good()))
    if (count or 0) >= MAX_KEYS:
        raise TooManyKeys(f"An account can have {MAX_KEYS} API keys; revoke one")
    made = await _add(session, owner.id, name, wanted, days)
    await audit.record(
        session,
        Action.API_KEY_CREATED,
        origin,
        actor=owner.id,
        subject=owner.id,
        key=str(made.id),
        scopes=" ".join(wanted),
    )
    return made


async def listed(
    connection: AsyncConnection, owner: uuid.UUID, query: PageQuery
) -> Page[ApiKeyRead]:
    """The owner's keys that are good, page by page."""
    statement = _READ.where(_own(owner), *_good())
    return await fetch(connection, statement, query, ApiKeyRead.model_validate)


async def rotate(
    session: AsyncSession,
    owner: UserRead,
    key_id: uuid.UUID,
    *,
    overlap: timedelta,
    days: int,
    origin: Origin,
) -> ApiKeyCreated:
    """A new key like this one, which itself ends after the overlap, or earlier where it would.

    Raises NotFound, and InsufficientScope when the owner may do less by now.
    """
    now = datetime.now(UTC)
    shortened = (
        update(ApiKey)
        .where(_own(owner.id), col(ApiKey.id) == key_id, *_good())
        .values(expires_at=func.least(col(ApiKey.expires_at), now + overlap))
        .returning(col(ApiKey.name), col(ApiKey.scopes))
    )
    row = (await session.exec(shortened)).first()
    if row is None:
        raise NotFound("There is no such API key")
    if missing := set(row.scopes) - of_role(is_superuser=owner.is_superuser):
        raise InsufficientScope(" ".join(sorted(missing)))
    made = await _add(session, owner.id, row.name, row.scopes, days)
    await audit.record(
        session,
        Action.API_KEY_ROTATED,
        origin,
        actor=owner.id,
        subject=owner.id,
        key=str(key_id),
        by=str(made.id),
        overlap=int(overlap.total_seconds()),
    )
    return made


async def revoke(
    session: AsyncSession, owner: uuid.UUID, key_id: uuid.UUID, origin: Origin
) -> None:
    """End a key. Raises NotFound when it is not the owner's, or has ended."""
    ended = await session.scalar(
        update(ApiKey)
        .where(_own(owner), col(ApiKey.id) == key_id, *_good())
        .values(revoked_at=func.now())
        .returning(col(ApiKey.id))
    )
    if ended is None:
        raise NotFound("There is no such API key")
    await audit.record(
        session, Action.API_KEY_REVOKED, origin, actor=owner, subject=owner, key=str(key_id)
    )


async def _add(
    session: AsyncSession, owner: uuid.UUID, name: str, scopes: Iterable[str], days: int
) -> ApiKeyCreated:
    key, now = new_key(), datetime.now(UTC)
    values = {
        "id": uuid7(),
        "name": name,
        "start": key.value[:SHOWN],
        "scopes": list(scopes),
        "created_at": now,
        "expires_at": now + timedelta(days=days),
    }
    await session.exec(insert(ApiKey).values(user_id=owner, digest=key.digest, **values))
    return ApiKeyCreated.model_validate({**values, "last_used_at": None, "key": key.value})


def _own(owner: uuid.UUID) -> ColumnElement[bool]:
    return col(ApiKey.user_id) == owner


def _good() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return col(ApiKey.revoked_at).is_(None), col(ApiKey.expires_at) > datetime.now(UTC)
