"""API keys: create, list, rotate, revoke and authenticate."""

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

from fastapi_base.core.errors import (
    DomainError,
    InsufficientScope,
    NotAuthenticated,
    NotFound,
    TooManyKeys,
)
from fastapi_base.core.ids import uuid7
from fastapi_base.core.runtime import background
from fastapi_base.core.security.api_key import SHOWN, new_key, well_formed
from fastapi_base.core.security.caller import Origin
from fastapi_base.core.security.opaque import digest
from fastapi_base.core.security.scopes import Scope, of_role
from fastapi_base.db.session import Database
from fastapi_base.models.identity.api_key import ApiKey
from fastapi_base.models.identity.user import User
from fastapi_base.schemas.identity.api_key import ApiKeyCreated, ApiKeyRead
from fastapi_base.schemas.identity.user import UserRead
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import ownership, users
from fastapi_base.services.identity.auth import Auth, Principal
from fastapi_base.services.stamps import stamp_of
from fastapi_base.utils.cache import Stamp
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
# One clock for all processes: another one later checks the key.
_NOW = func.statement_timestamp()
_READ = select(*(col(getattr(ApiKey, name)) for name in ApiKeyRead.model_fields))


@dataclass(frozen=True, slots=True)
class KeyPrincipal:
    """A program that calls with an API key of this user, and its scopes.

    `stamp` is the cache stamp of the account's data, read in the same request: see
    services/stamps.py.
    """

    user: UserRead
    key_id: uuid.UUID
    scopes: frozenset[Scope]
    stamp: Stamp


class UseRecorder:
    """Records when keys were last used, outside the requests and at most once a minute per key."""

    def __init__(self) -> None:
        self._tasks: dict[uuid.UUID, asyncio.Task[None]] = {}

    def note(self, database: Database, key_id: uuid.UUID, last_used: datetime | None) -> None:
        """The key is used now; its last recorded use was at `last_used`."""
        now = datetime.now(UTC)
        if key_id in self._tasks or (last_used and now - last_used < USE_RESOLUTION):
            return
        task = background.spawn("key-uses", lambda: self._write(database, key_id, now))
        self._tasks[key_id] = task
        task.add_done_callback(lambda _: self._tasks.pop(key_id, None))

    async def close(self) -> None:
        """Wait for pending writes."""
        await asyncio.gather(*self._tasks.values())

    async def _write(self, database: Database, key_id: uuid.UUID, now: datetime) -> None:
        used = col(ApiKey.last_used_at)
        statement = (
            update(ApiKey)
            # Another process may have written it already.
            .where(col(ApiKey.id) == key_id, or_(used.is_(None), used <= now - USE_RESOLUTION))
            .values(last_used_at=now)
        )
        try:
            async with database.transaction() as session:
                await session.exec(statement)
        except DomainError as error:
            log.info("the use of an API key could not be recorded", reason=error.detail)


async def identify(database: Database, recorder: UseRecorder, key: str) -> KeyPrincipal:
    """The caller with this key. Raises NotAuthenticated for every kind of invalid key.

    Queries the database each time, so a revoked key, or one whose owner is inactive, is refused
    from the next request on. A key never has scopes that its owner has lost.
    """
    if not well_formed(key):
        raise NotAuthenticated
    statement = (
        users.READ.add_columns(
            col(ApiKey.id).label("key_id"),
            col(ApiKey.scopes),
            col(ApiKey.last_used_at),
            stamp_of(col(User.id)).label("stamp"),
        )
        .join(ApiKey, col(ApiKey.user_id) == col(User.id))
        .where(col(ApiKey.digest) == digest(key), *usable(), col(User.is_active))
    )
    async with database.read() as connection:
        row = (await connection.execute(statement)).first()
    if row is None:
        raise NotAuthenticated
    recorder.note(database, row.key_id, row.last_used_at)
    user = UserRead.model_validate(row)
    may = of_role(is_superuser=user.is_superuser)
    return KeyPrincipal(user, row.key_id, frozenset(may & set(row.scopes)), row.stamp)


async def create(
    session: AsyncSession,
    auth: Auth,
    principal: Principal,
    *,
    name: str,
    scopes: Iterable[Scope],
    days: int,
    origin: Origin,
) -> ApiKeyCreated:
    """Create a key. Raises InsufficientScope, TooManyKeys and EmailNotVerified."""
    wanted = sorted(set(scopes))
    owner = await ownership.lock_verified(session, auth, principal)
    made = await _add(session, owner, name, wanted, days)
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
    """One page of the owner's valid keys."""
    statement = _READ.where(_own(owner), *usable())
    return await fetch(connection, statement, query, ApiKeyRead.model_validate)


async def rotate(
    session: AsyncSession,
    auth: Auth,
    principal: Principal,
    key_id: uuid.UUID,
    *,
    overlap: timedelta,
    days: int,
    origin: Origin,
) -> ApiKeyCreated:
    """Create a replacement for a key, which then expires after the overlap or earlier.

    During the overlap both keys count towards the limit. Raises NotFound, TooManyKeys,
    EmailNotVerified, and InsufficientScope if the owner has lost a scope of the key.
    """
    owner = await ownership.lock_verified(session, auth, principal)
    shortened = (
        update(ApiKey)
        .where(_own(owner.id), col(ApiKey.id) == key_id, *usable())
        .values(expires_at=func.least(col(ApiKey.expires_at), _NOW + overlap))
        .returning(col(ApiKey.name), col(ApiKey.scopes))
    )
    row = (await session.exec(shortened)).first()
    if row is None:
        raise NotFound("The API key does not exist")
    made = await _add(session, owner, row.name, row.scopes, days)
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
    """Revoke a key. Raises NotFound if it belongs to another account or has ended."""
    ended = await session.scalar(
        update(ApiKey)
        .where(_own(owner), col(ApiKey.id) == key_id, *usable())
        .values(revoked_at=func.now())
        .returning(col(ApiKey.id))
    )
    if ended is None:
        raise NotFound("The API key does not exist")
    await audit.record(
        session, Action.API_KEY_REVOKED, origin, actor=owner, subject=owner, key=str(key_id)
    )


async def end_all(
    session: AsyncSession, owner: uuid.UUID, origin: Origin, *, actor: uuid.UUID | None, reason: str
) -> None:
    """Revoke all keys of an account permanently, for example on deactivation."""
    for key_id in await users.end_keys(session, owner):
        await audit.record(
            session,
            Action.API_KEY_REVOKED,
            origin,
            actor=actor,
            subject=owner,
            key=str(key_id),
            reason=reason,
        )


async def narrow(session: AsyncSession, owner: uuid.UUID) -> None:
    """Remove superuser scopes from the keys of an account that is no longer a superuser.

    They do not return if the account becomes a superuser again.
    """
    users_own = of_role(is_superuser=False)
    keys = select(col(ApiKey.id), col(ApiKey.scopes)).where(_own(owner), *usable())
    for key_id, scopes in (await (await session.connection()).execute(keys)).all():
        kept = [scope for scope in scopes if scope in users_own]
        if kept != scopes:
            await session.exec(update(ApiKey).where(col(ApiKey.id) == key_id).values(scopes=kept))


async def _add(
    session: AsyncSession, owner: UserRead, name: str, scopes: Iterable[str], days: int
) -> ApiKeyCreated:
    """Add a key for an owner whose account is locked, so that the limit holds."""
    if missing := set(scopes) - of_role(is_superuser=owner.is_superuser):
        raise InsufficientScope(" ".join(sorted(missing)))
    count = await session.scalar(select(func.count()).where(_own(owner.id), *usable()))
    if (count or 0) >= MAX_KEYS:
        raise TooManyKeys(f"An account can have at most {MAX_KEYS} API keys; revoke one first")
    key = new_key()
    statement = (
        insert(ApiKey)
        .values(
            id=uuid7(),
            user_id=owner.id,
            digest=key.digest,
            name=name,
            start=key.value[:SHOWN],
            scopes=list(scopes),
            created_at=_NOW,
            expires_at=_NOW + timedelta(days=days),
        )
        .returning(*_READ.selected_columns)
    )
    made = (await session.exec(statement)).mappings().one()
    return ApiKeyCreated.model_validate({**made, "key": key.value})


def _own(owner: uuid.UUID) -> ColumnElement[bool]:
    return col(ApiKey.user_id) == owner


def usable() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Whether a key is neither revoked nor expired, by the database's clock."""
    return col(ApiKey.revoked_at).is_(None), col(ApiKey.expires_at) > _NOW
