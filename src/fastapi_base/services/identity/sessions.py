"""Sessions: begin one at login, go on by refresh tokens, end it.

A refresh token is good once (RFC 9700, 4.14.2). When one comes a second time, two parties hold it
and nobody can tell which of them is the thief: the session ends for both.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.caller import Origin
from fastapi_base.core.config import AuthSettings
from fastapi_base.core.errors import InvalidRefreshToken, NotFound
from fastapi_base.core.ids import uuid7
from fastapi_base.core.opaque import OpaqueToken, digest, new_token
from fastapi_base.db.database import Database
from fastapi_base.models.session import LoginSession
from fastapi_base.models.session import RefreshToken as Token
from fastapi_base.models.user import User
from fastapi_base.schemas.session import SessionRead
from fastapi_base.services import audit
from fastapi_base.services.audit import Action

PREFIX = "rt"
LIST_LIMIT = 100
# Authentication methods (RFC 8176).
PASSWORD = ("pwd",)
SECOND_FACTOR = ("otp", "mfa")
# A key and, by it, something that its owner knows or is: two factors in one.
PASSKEY = ("pop", "user", "mfa")
# Not registered: RFC 8176 has no name for a login that somebody else saw to.
FEDERATED = ("fed",)


@dataclass(frozen=True, slots=True)
class Grant:
    """A session to go on with, and the refresh token for it. A browser with a cookie has none."""

    session_id: uuid.UUID
    user_id: uuid.UUID
    refresh_token: str | None
    methods: tuple[str, ...]


async def begin(
    session: AsyncSession,
    settings: AuthSettings,
    user_id: uuid.UUID,
    origin: Origin,
    *,
    methods: tuple[str, ...] = PASSWORD,
    refreshable: bool = True,
) -> Grant:
    """A new session. Always a new id, whatever the caller sent: nothing can be fixated."""
    now = datetime.now(UTC)
    begun = LoginSession(
        id=uuid7(),
        user_id=user_id,
        address=origin.address,
        user_agent=origin.user_agent,
        methods=" ".join(methods),
        created_at=now,
        last_used_at=now,
        expires_at=now + timedelta(seconds=settings.session_seconds),
    )
    session.add(begun)
    await session.flush()
    token = await _add_token(session, settings, begun.id, now) if refreshable else None
    return Grant(begun.id, user_id, token.value if token else None, methods)


async def refresh(database: Database, settings: AuthSettings, value: str, origin: Origin) -> Grant:
    """Exchange a refresh token, once. Raises InvalidRefreshToken.

    In a transaction of its own: that a second use ends the session is committed before the error
    leaves. The row of the token is the lock: of two uses at once exactly one updates it, and the
    other then sees it used.
    """
    async with database.transaction() as session:
        grant = await _rotate(session, settings, digest(value), origin)
    if grant is None:
        raise InvalidRefreshToken
    return grant


async def _rotate(
    session: AsyncSession, settings: AuthSettings, key: bytes, origin: Origin
) -> Grant | None:
    now = datetime.now(UTC)
    session_id = await session.scalar(
        update(Token)
        .where(col(Token.digest) == key, col(Token.used_at).is_(None), col(Token.expires_at) > now)
        .values(used_at=now)
        .returning(col(Token.session_id))
    )
    if session_id is None:
        # A new time: the winner may have read its clock after this loser, which waited for it.
        await _judge(session, settings, key, datetime.now(UTC), origin)
        return None
    result = await session.exec(
        update(LoginSession)
        .where(
            col(LoginSession.id) == session_id,
            *_live(now),
            col(LoginSession.user_id) == col(User.id),
            col(User.is_active),
        )
        .values(last_used_at=now)
        .returning(col(LoginSession.user_id), col(LoginSession.methods))
    )
    row = result.one_or_none()
    if row is None:
        return None
    token = await _add_token(session, settings, session_id, now)
    return Grant(session_id, row.user_id, token.value, tuple(row.methods.split()))


async def _judge(
    session: AsyncSession, settings: AuthSettings, key: bytes, now: datetime, origin: Origin
) -> None:
    """End the session of a token that was used already, unless that was within the leeway."""
    copied = select(col(Token.session_id)).where(
        col(Token.digest) == key,
        col(Token.used_at) <= now - timedelta(seconds=settings.refresh_leeway_seconds),
    )
    for owner in await _revoke(
        session, col(LoginSession.id).in_(copied), reason="refresh-token-reused"
    ):
        await audit.record(session, Action.REFRESH_REUSED, origin, subject=owner)


async def revoke(
    session: AsyncSession,
    user_id: uuid.UUID,
    session_id: uuid.UUID,
    origin: Origin,
    *,
    reason: str,
) -> None:
    """End one session of this user. Raises NotFound when it is not theirs, or has ended."""
    own = (col(LoginSession.id) == session_id) & (col(LoginSession.user_id) == user_id)
    if not await _revoke(session, own, reason=reason):
        raise NotFound("There is no such session")
    await audit.record(
        session, Action.SESSION_ENDED, origin, actor=user_id, subject=user_id, reason=reason
    )


async def revoke_all(
    session: AsyncSession,
    user_id: uuid.UUID,
    origin: Origin,
    *,
    actor: uuid.UUID | None,
    reason: str,
    keep: uuid.UUID | None = None,
) -> int:
    """End all sessions of this user, except `keep`. How many there were."""
    which = col(LoginSession.user_id) == user_id
    if keep:
        which &= col(LoginSession.id) != keep
    count = len(await _revoke(session, which, reason=reason))
    await audit.record(
        session,
        Action.SESSIONS_ENDED,
        origin,
        actor=actor,
        subject=user_id,
        reason=reason,
        count=count,
    )
    return count


async def active(
    connection: AsyncConnection, user_id: uuid.UUID, current: uuid.UUID
) -> list[SessionRead]:
    """The user's sessions that have not ended, the newest first; at most LIST_LIMIT."""
    statement = (
        select(
            col(LoginSession.id),
            col(LoginSession.address),
            col(LoginSession.user_agent),
            col(LoginSession.created_at),
            col(LoginSession.last_used_at),
            col(LoginSession.expires_at),
        )
        .where(col(LoginSession.user_id) == user_id, *_live(datetime.now(UTC)))
        .order_by(col(LoginSession.id).desc())
        .limit(LIST_LIMIT)
    )
    rows = (await connection.execute(statement)).mappings()
    return [SessionRead(current=row["id"] == current, **row) for row in rows]


async def begun_at(connection: AsyncConnection, session_id: uuid.UUID) -> datetime | None:
    """When the login was."""
    statement = select(col(LoginSession.created_at)).where(col(LoginSession.id) == session_id)
    found: datetime | None = await connection.scalar(statement)
    return found


def _live(now: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return col(LoginSession.revoked_at).is_(None), col(LoginSession.expires_at) > now


async def _revoke(
    session: AsyncSession, which: ColumnElement[bool], *, reason: str
) -> list[uuid.UUID]:
    """End sessions; whose they were, one entry a session."""
    statement = (
        update(LoginSession)
        .where(which, col(LoginSession.revoked_at).is_(None))
        .values(revoked_at=func.now(), revoked_reason=reason)
        .returning(col(LoginSession.user_id))
    )
    return list(await session.scalars(statement))


async def _add_token(
    session: AsyncSession, settings: AuthSettings, session_id: uuid.UUID, now: datetime
) -> OpaqueToken:
    token = new_token(PREFIX)
    await session.exec(
        insert(Token).values(
            digest=token.digest,
            session_id=session_id,
            created_at=now,
            expires_at=now + timedelta(seconds=settings.refresh_token_seconds),
        )
    )
    return token
