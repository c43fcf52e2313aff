"""The last step of each login: create a session if the account has not changed meanwhile."""

import hashlib
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.config import AuthSettings
from fastapi_base.core.errors import AccountChanged, EmailNotVerified
from fastapi_base.core.security.caller import Origin
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import sessions, users
from fastapi_base.services.identity.authentication import Authentication, recheck
from fastapi_base.services.mail.request import Mailer, Notice


async def admit(
    session: AsyncSession,
    settings: AuthSettings,
    mailer: Mailer,
    authentication: Authentication,
    origin: Origin,
    *,
    refreshable: bool,
) -> sessions.Grant | None:
    """Create a session in this transaction; None if a second factor is required first.

    Reactivates an account that its owner deactivated. Raises AccountChanged, and EmailNotVerified
    if logins require a verified address.
    """
    user_id, by = authentication.account.id, authentication.by
    current = await recheck(session, user_id, authentication.account.state)
    # begin slice: oidc
    if authentication.identity and not await users.linked(
        session, user_id, authentication.identity
    ):
        raise AccountChanged
    # end slice: oidc
    if settings.require_verified_email and not current.is_verified:
        raise EmailNotVerified
    if authentication.needs_code:
        await audit.record(session, Action.SECOND_FACTOR_ASKED, origin, subject=user_id, after=by)
        return None
    back = await users.reactivate(session, user_id)
    if back:
        await audit.record(session, Action.REACTIVATED, origin, actor=user_id, subject=user_id)
    grant = await sessions.begin(
        session, settings, user_id, origin, methods=authentication.methods, refreshable=refreshable
    )
    await audit.record(session, Action.LOGGED_IN, origin, actor=user_id, subject=user_id, by=by)
    if back:
        await mailer.notify(session, user_id, Notice.REACTIVATED)
    return grant


def to_challenge(authentication: Authentication) -> dict[str, Any]:
    """The part of the authentication that the challenge for a second factor stores."""
    return {
        "user": str(authentication.account.id),
        "state": authentication.account.state,
        # Processes of the previous release know only passwords.
        "password": fingerprint(authentication.account.password_hash),
        # begin slice: oidc
        "identity": str(authentication.identity) if authentication.identity else None,
        # end slice: oidc
        "by": authentication.by,
        "methods": authentication.methods,
    }


def fingerprint(password_hash: str) -> str:
    """A digest of the password for the challenge: a new password invalidates it."""
    return hashlib.sha256(password_hash.encode()).hexdigest()
