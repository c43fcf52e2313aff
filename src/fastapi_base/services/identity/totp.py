"""Codes of authenticator apps (TOTP, RFC 6238), and recovery codes for a lost authenticator."""

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

from fastapi_base.core.errors import FactorExists, NoFactor
from fastapi_base.core.security.encryption import Cipher
from fastapi_base.core.security.opaque import digest
from fastapi_base.models.identity.second_factor import RecoveryCode
from fastapi_base.models.identity.second_factor import TotpFactor as Factor

STEP_SECONDS = 30
# Accepted clock drift in steps, either way (RFC 6238, 5.2 recommends one at most).
DRIFT_STEPS = 1
RECOVERY_CODES = 10
_GROUPS, _GROUP_LENGTH = 6, 4
# 32 letters and digits, without look-alikes (0, 1, l, o): 24 of them are 120 bits, so a plain
# digest is sufficient to store them (ASVS 6.5.2 asks for 112).
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True)
class State:
    """The state of an account's second factor. `confirmed_at` is set once logins require it."""

    confirmed_at: datetime | None
    pending: bool
    recovery_codes_left: int


def matching_step(secret: str, code: str, now: datetime) -> int | None:
    """The time step of this code within the drift; the newest, if there are two."""
    current = int(now.timestamp()) // STEP_SECONDS
    generator = pyotp.TOTP(secret, interval=STEP_SECONDS)
    found = None
    for step in range(current - DRIFT_STEPS, current + DRIFT_STEPS + 1):
        # No early exit: the time must not reveal which step was close.
        if hmac.compare_digest(generator.generate_otp(step).encode(), code.encode()):
            found = step
    return found


async def state(connection: AsyncConnection, user_id: uuid.UUID) -> State:
    """The state of the account's second factor."""
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


async def enrol(session: AsyncSession, cipher: Cipher, user_id: uuid.UUID) -> str:
    """Create a secret (base32, 160 bits), which `confirm` activates with its first code.

    Replaces an unconfirmed secret. Raises FactorExists.
    """
    secret = pyotp.random_base32()
    encrypted = cipher.encrypt(secret.encode(), user_id.bytes)
    statement = insert_or_update(Factor).values(user_id=user_id, secret=encrypted)
    statement = statement.on_conflict_do_update(
        index_elements=[col(Factor.user_id)],
        set_={"secret": encrypted, "created_at": func.now(), "last_step": None},
        where=col(Factor.confirmed_at).is_(None),
    )
    if await session.scalar(statement.returning(col(Factor.user_id))) is None:
        raise FactorExists
    return secret


def uri(secret: str, email: str, issuer: str) -> str:
    """The URI that an authenticator app reads from a QR code."""
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
    """Consume a code. Returns whether it was correct and neither used nor older than a used one.

    The row is the lock: exactly one of concurrent uses updates it. `confirming` concerns a factor
    that waits for its first code, and activates it. Raises NoFactor.
    """
    now = now or datetime.now(UTC)
    waits = col(Factor.confirmed_at).is_(None)
    which = (col(Factor.user_id) == user_id) & (waits if confirming else ~waits)
    encrypted = await session.scalar(select(col(Factor.secret)).where(which))
    if encrypted is None:
        raise NoFactor
    secret = cipher.decrypt(encrypted, user_id.bytes)
    step = matching_step(secret.decode(), code, now)
    if step is None:
        return False
    values: dict[str, object] = {"last_step": step}
    if confirming:
        values["confirmed_at"] = now
    if cipher.outdated(encrypted):
        values["secret"] = cipher.encrypt(secret, user_id.bytes)
    newer = col(Factor.last_step).is_(None) | (col(Factor.last_step) < step)
    # Also match the secret: the factor may have been replaced meanwhile.
    which &= newer & (col(Factor.secret) == encrypted)
    statement = update(Factor).where(which).values(values).returning(col(Factor.user_id))
    return await session.scalar(statement) is not None


async def replace_recovery_codes(session: AsyncSession, user_id: uuid.UUID) -> list[str]:
    """New recovery codes; earlier ones are void. They cannot be read again."""
    codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
    await session.exec(delete(RecoveryCode).where(col(RecoveryCode.user_id) == user_id))
    rows = [{"user_id": user_id, "digest": _digest(code)} for code in codes]
    await session.exec(insert(RecoveryCode).values(rows))
    return codes


async def use_recovery_code(session: AsyncSession, user_id: uuid.UUID, code: str) -> bool:
    """Consume a recovery code. Returns whether it belongs to the account and was unused."""
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
    """Remove the second factor and its recovery codes."""
    await session.exec(delete(Factor).where(col(Factor.user_id) == user_id))
    await session.exec(delete(RecoveryCode).where(col(RecoveryCode.user_id) == user_id))


async def reencrypt(session: AsyncSession, cipher: Cipher) -> int:
    """Re-encrypt all secrets with the current key. Returns how many were encrypted with another."""
    rows = await session.exec(
        select(col(Factor.user_id), col(Factor.secret)).with_for_update()  # type: ignore[call-overload]
    )
    count = 0
    for user_id, encrypted in rows:
        if cipher.outdated(encrypted):
            secret = cipher.encrypt(cipher.decrypt(encrypted, user_id.bytes), user_id.bytes)
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
    """The digest of a code as typed: case, spaces and dashes are ignored."""
    return digest("".join(code.split()).replace("-", "").lower())
