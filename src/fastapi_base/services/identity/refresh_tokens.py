"""Refresh tokens: issue, exchange once, and detect copies (RFC 9700, 4.14.2).

A client exchanges its token for the next one. It may have to repeat that: two browser tabs refresh
concurrently, or the response is lost and the request is repeated, perhaps hours later. A stolen
copy of a token is also presented again. These rules distinguish the cases (decision 15):

1. For AUTH_REFRESH_LEEWAY_SECONDS after its first use a token yields the same successor again, so
   that tabs continue with one token.
2. Later it yields a new successor, as long as the previous successor was never used: the client has
   lost the response. The replaced successor is void from then on.
3. Otherwise somebody has a copy, and nobody knows which of the two is the thief: the session
   ends for both.

A successor is derived from its predecessor and from random bits that are stored: the holder of the
predecessor can be given the same successor again, and the database contains neither a token nor
anything from which one can be derived without its predecessor.
"""

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, insert, select, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.config import AuthSettings
from fastapi_base.core.security.opaque import OpaqueToken, derived_token, digest, new_token
from fastapi_base.models.identity.session import RefreshToken as Token

PREFIX = "rt"
_SALT_BYTES = 32
# The time of each statement, from the one clock that all processes share.
_NOW = func.statement_timestamp()


@dataclass(frozen=True, slots=True)
class Exchanged:
    """The result of an exchange: the next token, or None.

    `copied`: somebody else has the token too. `retried`: an unused earlier successor was replaced.
    """

    token: OpaqueToken | None = None
    copied: bool = False
    retried: bool = False


async def add(
    session: AsyncSession,
    settings: AuthSettings,
    session_id: uuid.UUID,
    token: OpaqueToken | None = None,
) -> OpaqueToken:
    """Add a token to this session, a new one unless it is given."""
    token = token or new_token(PREFIX)
    life = timedelta(seconds=settings.refresh_token_seconds)
    await session.exec(
        insert(Token).values(
            digest=token.digest, session_id=session_id, created_at=_NOW, expires_at=_NOW + life
        )
    )
    return token


async def exchange(
    session: AsyncSession, settings: AuthSettings, session_id: uuid.UUID, value: str
) -> Exchanged:
    """Exchange a token of this session, whose locked row serialises exchanges."""
    key, leeway = digest(value), timedelta(seconds=settings.refresh_leeway_seconds)
    columns = (col(Token.used_at), col(Token.expires_at), col(Token.successor_salt))
    connection = await session.connection()
    # A separate statement, which sees what was committed before the lock was granted.
    statement = select(*columns, _NOW.label("now")).where(col(Token.digest) == key)
    row = (await connection.execute(statement)).one_or_none()
    if row is None or row.expires_at <= row.now:
        return Exchanged()
    if row.used_at is None:
        return Exchanged(await _advance(session, settings, session_id, value, row.now))
    if row.successor_salt is None or not leeway:
        return Exchanged(copied=True)
    given = derived_token(PREFIX, value, row.successor_salt)
    if row.now - row.used_at <= leeway:
        return Exchanged(given)
    if not await _replace(session, given.digest, row.now):
        return Exchanged(copied=True)
    return Exchanged(await _advance(session, settings, session_id, value, row.now), retried=True)


async def _advance(
    session: AsyncSession,
    settings: AuthSettings,
    session_id: uuid.UUID,
    value: str,
    now: datetime,
) -> OpaqueToken:
    """Issue the successor of this token and mark the token as used."""
    key, leeway = digest(value), timedelta(seconds=settings.refresh_leeway_seconds)
    # Without a leeway no successor is given twice.
    salt = secrets.token_bytes(_SALT_BYTES) if leeway else None
    await session.exec(
        update(Token).where(col(Token.digest) == key).values(used_at=now, successor_salt=salt)
    )
    # Older tokens lose their salts: no chain in the database leads from an old token to a valid
    # one.
    await session.exec(
        update(Token)
        .where(
            col(Token.session_id) == session_id,
            col(Token.digest) != key,
            col(Token.successor_salt).is_not(None),
            col(Token.used_at) < now - leeway,
        )
        .values(successor_salt=None)
    )
    token = derived_token(PREFIX, value, salt) if salt else new_token(PREFIX)
    return await add(session, settings, session_id, token)


async def _replace(session: AsyncSession, key: bytes, now: datetime) -> bool:
    """Void a token if it was never used. Returns whether it was unused."""
    statement = (
        update(Token)
        .where(col(Token.digest) == key, col(Token.used_at).is_(None))
        .values(used_at=now, successor_salt=None)
        .returning(col(Token.digest))
    )
    return await session.scalar(statement) is not None
