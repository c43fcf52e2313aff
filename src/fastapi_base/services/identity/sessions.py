"""Sessions: begin at login, refresh, end."""

import uuid
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.config import AuthSettings
from fastapi_base.core.errors import InvalidRefreshToken, NotFound
from fastapi_base.core.ids import uuid7
from fastapi_base.core.security.caller import Origin
from fastapi_base.core.security.opaque import digest
from fastapi_base.db.session import Database
from fastapi_base.models.identity.session import LoginSession
from fastapi_base.models.identity.session import RefreshToken as Token
from fastapi_base.models.identity.user import User
from fastapi_base.schemas.identity.session import SessionRead
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import refresh_tokens

LIST_LIMIT = 100
# Authentication methods (RFC 8176).
PASSWORD = ("pwd",)
SECOND_FACTOR = ("otp", "mfa")
# A key, and something its owner knows or is: two factors in one.  # slice: passkeys
PASSKEY = ("pop", "user", "mfa")  # slice: passkeys
# Not registered: RFC 8176 has no name for a federated login.  # slice: oidc
FEDERATED = ("fed",)  # slice: oidc


@dataclass(frozen=True, slots=True)
class Grant:
    """A session, and its refresh token; None for a browser with a cookie."""

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
    """Create a session. The id is always new, which prevents session fixation."""
    # One clock for all processes: another one later checks whether the login is recent.
    now, session_id = func.statement_timestamp(), uuid7()
    await session.exec(
        insert(LoginSession).values(
            id=session_id,
            user_id=user_id,
            address=origin.address,
            user_agent=origin.user_agent,
            methods=" ".join(methods),
            created_at=now,
            last_used_at=now,
            expires_at=now + timedelta(seconds=settings.session_seconds),
        )
    )
    token = await refresh_tokens.add(session, settings, session_id) if refreshable else None
    return Grant(session_id, user_id, token.value if token else None, methods)


async def refresh(database: Database, settings: AuthSettings, value: str, origin: Origin) -> Grant:
    """Exchange a refresh token. Raises InvalidRefreshToken.

    It uses its own transaction: if a copy ends the session, that is committed before the error is
    raised. The session's row is the lock: of two concurrent exchanges the second sees the first's
    effect.
    """
    async with database.transaction() as session:
        grant = await _refresh(session, settings, value, origin)
    if grant is None:
        raise InvalidRefreshToken
    return grant


async def _refresh(
    session: AsyncSession, settings: AuthSettings, value: str, origin: Origin
) -> Grant | None:
    lock = (
        select(col(LoginSession.id), col(LoginSession.user_id), col(LoginSession.methods))
        .join(Token, col(Token.session_id) == col(LoginSession.id))
        .join(User, col(User.id) == col(LoginSession.user_id))
        .where(col(Token.digest) == digest(value), *live(), col(User.is_active))
        .with_for_update(of=LoginSession, key_share=True)
    )
    row = (await (await session.connection()).execute(lock)).one_or_none()
    if row is None:
        return None
    exchanged = await refresh_tokens.exchange(session, settings, row.id, value)
    if exchanged.copied:
        await _revoke(session, col(LoginSession.id) == row.id, reason="refresh-token-reused")
        await audit.record(session, Action.REFRESH_REUSED, origin, subject=row.user_id)
    if exchanged.token is None:
        return None
    if exchanged.retried:
        await audit.record(session, Action.REFRESH_RETRIED, origin, subject=row.user_id)
    await session.exec(
        update(LoginSession)
        .where(col(LoginSession.id) == row.id)
        .values(last_used_at=func.statement_timestamp())
    )
    return Grant(row.id, row.user_id, exchanged.token.value, tuple(row.methods.split()))


async def revoke(
    session: AsyncSession,
    user_id: uuid.UUID,
    session_id: uuid.UUID,
    origin: Origin,
    *,
    reason: str,
) -> None:
    """End one session of this user. Raises NotFound if it is not theirs, or has ended."""
    own = (col(LoginSession.id) == session_id) & (col(LoginSession.user_id) == user_id)
    if not await _revoke(session, own, reason=reason):
        raise NotFound("The session does not exist")
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
    """End all sessions of this user, except `keep`. Returns their number."""
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
    """The user's live sessions, newest first; at most LIST_LIMIT."""
    # Those that expire last, from the index that separates live from ended ones.
    ending_last = (
        select(
            col(LoginSession.id),
            col(LoginSession.address),
            col(LoginSession.user_agent),
            col(LoginSession.created_at),
            col(LoginSession.last_used_at),
            col(LoginSession.expires_at),
        )
        .where(col(LoginSession.user_id) == user_id, *live())
        .order_by(col(LoginSession.expires_at).desc())
        .limit(LIST_LIMIT)
        .subquery()
    )
    newest_first = select(ending_last).order_by(ending_last.c.id.desc())
    rows = (await connection.execute(newest_first)).mappings()
    return [SessionRead(current=row["id"] == current, **row) for row in rows]


async def age(connection: AsyncConnection, session_id: uuid.UUID) -> timedelta | None:
    """The time since the login, by the database's clock."""
    statement = select(func.statement_timestamp() - col(LoginSession.created_at))
    found: timedelta | None = await connection.scalar(
        statement.where(col(LoginSession.id) == session_id)
    )
    return found


async def methods(connection: AsyncConnection, session_id: uuid.UUID) -> tuple[str, ...]:
    """The authentication methods of the login (RFC 8176); none if there is no such session."""
    statement = select(col(LoginSession.methods)).where(col(LoginSession.id) == session_id)
    return tuple((await connection.scalar(statement) or "").split())


async def is_live(session: AsyncSession, user_id: uuid.UUID, session_id: uuid.UUID) -> bool:
    """Whether this session of this user is live."""
    statement = select(col(LoginSession.id)).where(
        col(LoginSession.id) == session_id,
        col(LoginSession.user_id) == user_id,
        *live(),
    )
    return await session.scalar(statement) is not None


def live() -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Whether a session is live, by the database's clock: processes' clocks may differ."""
    now = func.statement_timestamp()
    return col(LoginSession.revoked_at).is_(None), col(LoginSession.expires_at) > now


async def _revoke(
    session: AsyncSession, which: ColumnElement[bool], *, reason: str
) -> list[uuid.UUID]:
    """End sessions; returns the owner of each."""
    statement = (
        update(LoginSession)
        .where(which, col(LoginSession.revoked_at).is_(None))
        .values(revoked_at=func.now(), revoked_reason=reason)
        .returning(col(LoginSession.user_id))
    )
    return list(await session.scalars(statement))
