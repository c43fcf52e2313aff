"""Verification that an account's e-mail address belongs to its holder, and its consequences.

Anybody can register anybody's address. Until the address is verified, the registrant may be an
attacker (Sudhodanan and Paverd, "Pre-hijacked accounts", USENIX Security 2022). Hence three rules:

- Nothing that outlasts a session is added to an account with an unverified address
  (`lock_verified`).
- A link that gives an address to an account requires, besides access to the mailbox, the password
  or a session of that account (`require_holder`): the owner of the address alone cannot confirm an
  account that somebody else registered.
- If only the mailbox verifies the address (reset, provider), the account is handed over to its
  owner without anything that an earlier holder set up (`hand_over`).

If the service sends no mail, nobody can verify an address, and the first rule does not apply. The
third does, as soon as an operator or a provider vouches for the owner.
"""

import uuid
from datetime import UTC, datetime

from sqlalchemy import delete, update
from sqlmodel import SQLModel, col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import EmailNotVerified, InvalidLink, NotAuthenticated, PasswordNeeded
from fastapi_base.core.security.caller import Origin
from fastapi_base.models.idempotency import IdempotencyKey
from fastapi_base.models.identity.api_key import ApiKey
from fastapi_base.models.identity.email_change import EmailChange  # slice: email-change
from fastapi_base.models.identity.external_identity import ExternalIdentity  # slice: oidc
from fastapi_base.models.identity.one_time_token import OneTimeToken
from fastapi_base.models.identity.passkey import Passkey  # slice: passkeys
from fastapi_base.models.identity.second_factor import RecoveryCode, TotpFactor
from fastapi_base.models.identity.user import User
from fastapi_base.models.privacy.file import File
from fastapi_base.schemas.identity.user import UserRead
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import sessions, single_use_tokens, users
from fastapi_base.services.identity.auth import Auth, Principal
from fastapi_base.services.identity.authentication import Confirmed
from fastapi_base.services.identity.single_use_tokens import Purpose
from fastapi_base.services.jobs import queries

# The rows removed from an account that is handed over to the owner of its address, with the column
# that names the account. A test reports tables of accounts that are in neither list.
REMOVED: tuple[tuple[type[SQLModel], str], ...] = (
    (ApiKey, "user_id"),
    (Passkey, "user_id"),  # slice: passkeys
    (TotpFactor, "user_id"),
    (RecoveryCode, "user_id"),
    (ExternalIdentity, "user_id"),  # slice: oidc
    (EmailChange, "user_id"),  # slice: email-change
    (OneTimeToken, "user_id"),
    (IdempotencyKey, "owner_id"),
    (File, "owner_id"),
)
# The tables whose rows stay, with the reason.
KEPT: dict[str, str] = {
    "sessions": "ended instead; the owner may see where the account was used",
    "jobs": "unfinished jobs are cancelled; finished jobs are history",
    "items": "content gives no access, and is mostly the owner's own",  # slice: items
    "invitations": "issued by superusers for others",
}


def require_verified(auth: Auth, user: UserRead | users.Credentials) -> None:
    """Raise EmailNotVerified if the address is not verified and mail is enabled to verify it."""
    if auth.mailer.enabled and not user.is_verified:
        raise EmailNotVerified(
            "Verify the e-mail address of the account first; POST /api/v1/auth/verify-email sends"
            " the link again"
        )


async def lock_verified(session: AsyncSession, auth: Auth, principal: Principal) -> UserRead:
    """Lock the caller's account before adding something that outlasts the caller's session.

    Limits counted under the lock cannot be exceeded. The session is checked under the lock:
    nothing is added after, for example, a password reset ended it. Raises NotAuthenticated and
    EmailNotVerified.
    """
    user = await users.lock(session, principal.user.id)
    if user is None or not user.is_active:
        raise NotAuthenticated
    # A separate statement, which sees what was committed before the lock was granted.
    if not await sessions.is_live(session, user.id, principal.session_id):
        raise NotAuthenticated
    require_verified(auth, user)
    return user


async def require_holder(
    auth: Auth,
    user_id: uuid.UUID,
    password: str | None,
    principal: Principal | None,
    origin: Origin,
) -> Confirmed:
    """Require the bearer of a mailed token to authenticate as the holder of the account, too.

    Its password or one of its sessions is required. Raises PasswordNeeded without either,
    WrongPassword and TooManyAttempts.
    """
    if password is not None:
        async with auth.database.read() as connection:
            found = await users.credentials(connection, user_id=user_id)
        if found is None:
            raise InvalidLink
        await auth.confirm_holder(found, password, origin)
        return Confirmed(user_id, state=found.state)
    if principal is None or principal.user.id != user_id:
        raise PasswordNeeded(
            "Send the account's password with the token, or use a session of the account. If you"
            " did not register it, set a password with POST /api/v1/auth/password-reset"
        )
    return Confirmed(user_id, session_id=principal.session_id)


async def verify(
    auth: Auth, token: str, password: str | None, principal: Principal | None, origin: Origin
) -> None:
    """Verify the address that the token was sent to, for the holder of its account.

    The token stays valid until it is used. Raises InvalidLink, and the errors of `require_holder`.
    """
    async with auth.database.read() as connection:
        user_id = (await single_use_tokens.look(connection, token, Purpose.VERIFY)).user_id
    holder = await require_holder(auth, user_id, password, principal, origin)
    async with auth.database.transaction() as session:
        # Fails if the confirmed password has been replaced meanwhile.
        await single_use_tokens.use(session, token, Purpose.VERIFY)
        await holder.recheck(session)
        await session.exec(
            update(User).where(col(User.id) == user_id).values(email_verified_at=datetime.now(UTC))
        )
        await audit.record(session, Action.EMAIL_VERIFIED, origin, actor=user_id, subject=user_id)


async def hand_over(
    session: AsyncSession, user_id: uuid.UUID, origin: Origin, *, actor: uuid.UUID | None
) -> None:
    """Hand the account over to the owner of the address, verified by mailbox or by an operator.

    The first verification removes everything that an earlier holder may have set up: sessions, API
    keys, passkeys, second factor, linked identities, mailed links, exports, unfinished jobs and the
    name.
    The caller replaces the password in the same transaction.
    """
    now = datetime.now(UTC)
    first = (
        update(User)
        .where(col(User.id) == user_id, col(User.email_verified_at).is_(None))
        .values(email_verified_at=now, display_name=None)
        .returning(col(User.id))
    )
    if await session.scalar(first) is None:
        return
    gone: dict[str, int] = {}
    for table, owner in REMOVED:
        mine = table.__table__.columns[owner] == user_id  # type: ignore[attr-defined]
        gone[str(table.__tablename__)] = (await session.exec(delete(table).where(mine))).rowcount
    await queries.cancel_all(session, user_id)
    await sessions.revoke_all(session, user_id, origin, actor=actor, reason="address-proven")
    removed = {name: count for name, count in gone.items() if count}
    await audit.record(session, Action.CLEARED, origin, actor=actor, subject=user_id, **removed)
