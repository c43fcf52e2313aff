"""Codes of authenticator applications (TOTP, RFC 6238), and recovery codes for when one is lost."""

import hmac
import secrets
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import pyotp
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or_update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.encryption import Cipher
from fastapi_base.core.errors import FactorExists, NoFactor
from fastapi_base.core.opaque import digest
from fastapi_base.models.second_factor import RecoveryCode
from fastapi_base.models.second_factor import TotpFactor as Factor

STEP_SECONDS = 30
# How many steps a clock may be wrong, either way (RFC 6238, 5.2 recommends one at most).
DRIFT_STEPS = 1
RECOVERY_CODES = 10
_GROUPS, _GROUP_LENGTH = 6, 4
# 32 letters and digits, without those that look alike (0, 1, l, o): 24 of them are 120 bits, so a
# plain digest is enough to keep them (ASVS 6.5.2 asks for 112).
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True)
class State:
    """How far the second factor of an account is. `confirmed_at` is set when logins ask for it."""

    confirmed_at: datetime | None
    pending: bool
    recovery_codes_left: int


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """The time step whose code this is, within the drift; the newest, should there be two."""
    current = int(now.timestamp()) // STEP_SECONDS
    generator = pyotp.TOTP(secret, interval=STEP_SECONDS)
    found = None
    for step in range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1):
        # Never ending early: the time tells nothing of which step was near.
        if hmac.compare_digest(generator.generate_otp(step).encode(), code.encode()):
            found = step
    return found


async def state(connection: AsyncConnection, user_id: uuid.UUID) -> State:
    """How far the account's second factor is."""
    left = (
        select(func.count())
        .where(col(RecoveryCode.user_id) == user_id, col(RecoveryCode.used_at).is_(None))
        .scalar_subquery()
    )
    statement = select(col(Factor.confirmed_at), left).where(col(Factor.user_id) == user_id)
    row = (await connection.execute(statement)).first()
    if row is None:
        return State(None, pending=False, recovery_codes_left=0)
    return State(row[0], pending=row[0] is None, recovery_codes_left=row[1])


async def enabled(connection: AsyncConnection, user_id: uuid.UUID) -> bool:
    """Whether logins of this account need a code."""
    statement = select(col(Factor.user_id)).where(
        col(Factor.user_id) == user_id, col(Factor.confirmed_at).is_not(None)
    )
    return await connection.scalar(statement) is not None


async def enrol(session: AsyncSession, cipher: Cipher, user_id: uuid.UUID) -> str:
    """A new secret, which counts once `confirm` saw its first code. In base32, 160 bits.

    An unconfirmed one from before is replaced. Raises FactorExists.
    """
    secret = pyotp.random_base32()
    sealed = cipher.seal(secret.encode(), user_id.bytes)
    statement = insert_or_update(Factor).values(user_id=user_id, secret=sealed)
    statement = statement.on_conflict_do_update(
        index_elements=[col(Factor.user_id)],
        set_={"secret": sealed, "created_at": func.now(), "last_step": None},
        where=col(Factor.confirmed_at).is_(None),
    )
    if await session.scalar(statement.returning(col(Factor.user_id))) is None:
        raise FactorExists
    return secret


def uri(secret: str, email: str, issuer: str) -> str:
    """What an authenticator application reads from a QR code."""
    return pyotp.TOTP(secret, interval=STEP_SECONDS).provisioning_uri(
        name=email, issuer_name=issuer
    )


async def use_code(
    session: AsyncSession,
    cipher: Cipher,
    user_id: uuid.UUID,
    code: str,
    *,
    confirming: bool = False,
    now: datetime | None = None,
) -> bool:
    """Whether the code is right and was not used before; then it is used. Also not an older one.

    The row is the lock: of two uses at once exactly one updates it. `confirming` is about a factor
    that waits for its first code, and makes it count. Raises NoFactor.
    """
    now = now or datetime.now(UTC)
    waits = col(Factor.confirmed_at).is_(None)
    which = (col(Factor.user_id) == user_id) & (waits if confirming else ~waits)
    sealed = await session.scalar(select(col(Factor.secret)).where(which))
    if sealed is None:
        raise NoFactor
    secret = cipher.open(sealed, user_id.bytes)
    step = matching_step(secret.decode(), code, now)
    if step is None:
        return False
    values: dict[str, object] = {"last_step": step}
    if confirming:
        values["confirmed_at"] = now
    if cipher.outdated(sealed):
        values["secret"] = cipher.seal(secret, user_id.bytes)
    newer = col(Factor.last_step).is_(None) | (col(Factor.last_step) < step)
    # The secret too: a factor that was replaced meanwhile is another one.
    which &= newer & (col(Factor.secret) == sealed)
    statement = update(Factor).where(which).values(values).returning(col(Factor.user_id))
    return await session.scalar(statement) is not None


async def replace_recovery_codes(session: AsyncSession, user_id: uuid.UUID) -> list[str]:
    """New recovery codes; those from before are void. They cannot be read again."""
    codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
    await session.exec(delete(RecoveryCode).where(col(RecoveryCode.user_id) == user_id))
    rows = [{"user_id": user_id, "digest": _digest(code)} for code in codes]
    await session.exec(insert(RecoveryCode).values(rows))
    return codes


async def use_recovery_code(session: AsyncSession, user_id: uuid.UUID, code: str) -> bool:
    """Whether the code is one of the account's and was not used before; then it is used."""
    statement = (
        update(RecoveryCode)
        .where(
            col(RecoveryCode.user_id) == user_id,
            col(RecoveryCode.digest) == _digest(code),
            col(RecoveryCode.used_at).is_(None),
        )
        .values(used_at=func.now())
        .returning(col(RecoveryCode.user_id))
    )
    return await session.scalar(statement) is not None


async def remove(session: AsyncSession, user_id: uuid.UUID) -> None:
    """Take the factor and its recovery codes away."""
    await session.exec(delete(Factor).where(col(Factor.user_id) == user_id))
    await session.exec(delete(RecoveryCode).where(col(RecoveryCode.user_id) == user_id))


async def reencrypt(session: AsyncSession, cipher: Cipher) -> int:
    """Seal all secrets by the key that seals now. How many were sealed by another."""
    rows = await session.exec(
        select(col(Factor.user_id), col(Factor.secret)).with_for_update()  # type: ignore[call-overload]
    )
    count = 0
    for user_id, sealed in rows:
        if cipher.outdated(sealed):
            secret = cipher.seal(cipher.open(sealed, user_id.bytes), user_id.bytes)
            await session.exec(
                update(Factor).where(col(Factor.user_id) == user_id).values(secret=secret)
            )
            count += 1
    return count


def _recovery_code() -> str:
    groups = (
        "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS)
    )
    return "-".join(groups)


def _digest(code: str) -> bytes:
    """Of the code as people type it: case, blanks and dashes do not count."""
    return digest("".join(code.split()).replace("-", "").lower())
