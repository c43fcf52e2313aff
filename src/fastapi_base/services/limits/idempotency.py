"""Requests that take effect once, however often they are sent (draft-ietf-httpapi-idempotency-key).

The key, the effect and the reply are one transaction. A crash before the commit leaves nothing, and
the next attempt does the work; a crash after it leaves the reply, and the next attempt gets that.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from fastapi_base.db.failures import LOCK_NOT_AVAILABLE, sqlstate
from fastapi_base.models.idempotency import IdempotencyKey as Key


@dataclass(frozen=True, slots=True)
class StoredReply:
    """What the first attempt was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def begin(
    session: AsyncSession, owner: uuid.UUID, key: str, fingerprint: bytes, keep: timedelta
) -> StoredReply | None:
    """The reply that was stored under the key, or None when this attempt is to do the work.

    While another attempt is at work this one waits, for as long as the database waits for a lock.
    Raises IdempotencyKeyInUse after that, and IdempotencyKeyReused when the key came with another
    request. A key that is older than `keep` counts as new.
    """
    old = datetime.now(UTC) - keep
    mine = (col(Key.owner_id) == owner, col(Key.key) == key)
    claim = insert(Key).values(owner_id=owner, key=key, fingerprint=fingerprint)
    try:
        await session.exec(delete(Key).where(*mine, col(Key.created_at) < old))
        claimed = await session.exec(claim.on_conflict_do_nothing())
    except DBAPIError as error:
        if sqlstate(error) == LOCK_NOT_AVAILABLE:
            raise IdempotencyKeyInUse from error
        raise
    if claimed.rowcount:
        return None
    statement = select(col(Key.fingerprint), col(Key.status), col(Key.headers), col(Key.body))
    connection = await session.connection()
    row = (await connection.execute(statement.where(*mine))).one()
    if row.fingerprint != fingerprint:
        raise IdempotencyKeyReused
    return StoredReply(row.status, row.headers, row.body)


async def finish(session: AsyncSession, owner: uuid.UUID, key: str, reply: StoredReply) -> None:
    """Store the reply, in the transaction that began with the key."""
    await session.exec(
        update(Key)
        .where(col(Key.owner_id) == owner, col(Key.key) == key)
        .values(status=reply.status, headers=dict(reply.headers), body=reply.body)
    )


async def purge(session: AsyncSession, keep: timedelta) -> int:
    """Remove keys that are older than `keep`; how many there were."""
    old = datetime.now(UTC) - keep
    return (await session.exec(delete(Key).where(col(Key.created_at) < old))).rowcount
