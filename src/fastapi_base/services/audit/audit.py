"""Writing the append-only audit log."""

import uuid
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import insert
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.ids import uuid7
from fastapi_base.core.security.caller import Origin
from fastapi_base.models.audit.audit import AuditEvent

# The old and the new value of a field.
type Changes = Mapping[str, Mapping[str, Any]]


class Action(StrEnum):
    """The kinds of events. The names are stable, because programs search for them."""

    REGISTERED = "account.registered"
    LOGGED_IN = "login.succeeded"
    LOGIN_FAILED = "login.failed"
    SECOND_FACTOR_ASKED = "second-factor.asked"
    SECOND_FACTOR_FAILED = "second-factor.failed"
    RECOVERY_CODE_USED = "recovery-code.used"
    TOTP_ENROLLED = "totp.enrolled"
    TOTP_DISABLED = "totp.disabled"
    RECOVERY_CODES_REPLACED = "recovery-codes.replaced"
    EMAIL_VERIFIED = "email.verified"
    CLEARED = "account.cleared"
    RESET_REQUESTED = "password-reset.requested"
    PASSWORD_RESET = "password.reset"
    INVITED = "invitation.sent"
    INVITATION_REVOKED = "invitation.revoked"
    EMAIL_CHANGE_BEGUN = "email-change.begun"  # slice: email-change
    EMAIL_CHANGE_CANCELLED = "email-change.cancelled"  # slice: email-change
    EMAIL_CHANGED = "email.changed"  # slice: email-change
    PASSKEY_ADDED = "passkey.added"  # slice: passkeys
    PASSKEY_REMOVED = "passkey.removed"  # slice: passkeys
    PASSKEY_REFUSED = "passkey.refused"  # slice: passkeys
    IDENTITY_LINKED = "identity.linked"  # slice: oidc
    IDENTITY_UNLINKED = "identity.unlinked"  # slice: oidc
    REACTIVATED = "account.reactivated"
    DELETION_ASKED = "account.deletion-asked"
    DELETED = "account.deleted"
    EXPORT_ASKED = "account.export-asked"
    PASSWORD_CHANGED = "password.changed"
    CONFIRM_FAILED = "confirmation.failed"
    CREATED = "account.created"
    CHANGED = "account.changed"
    ACTIVATED = "account.activated"
    DEACTIVATED = "account.deactivated"
    REMOVED = "account.removed"
    API_KEY_CREATED = "api-key.created"
    API_KEY_ROTATED = "api-key.rotated"
    API_KEY_REVOKED = "api-key.revoked"
    REFRESH_REUSED = "refresh-token.reused"
    REFRESH_RETRIED = "refresh-token.retried"
    FLAG_CHANGED = "feature-flag.changed"
    JOB_RETRIED = "job.retried"
    JOBS_RETRIED = "jobs.retried"
    JOB_CANCELLED = "job.cancelled"
    SCHEDULE_CHANGED = "schedule.changed"
    SCHEDULE_RUN = "schedule.run"
    SESSION_ENDED = "session.ended"
    SESSIONS_ENDED = "sessions.ended"


async def record(
    session: AsyncSession,
    action: Action,
    origin: Origin,
    *,
    actor: uuid.UUID | None = None,
    subject: uuid.UUID | None = None,
    **details: str | int | Changes,
) -> None:
    """Record an event in the transaction of the change it describes.

    `actor` is the account that performed the action, if that is proven; `subject` the account that
    it affects. `details` must contain neither secrets nor client-supplied text.
    """
    await session.exec(
        insert(AuditEvent).values(
            id=uuid7(),
            action=action,
            actor_id=actor,
            subject_id=subject,
            address=origin.address,
            user_agent=origin.user_agent,
            request_id=origin.request_id,
            details=details,
        )
    )


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """The fields that differ, for `record`. The caller must not pass secrets."""
    return {
        name: {"before": before.get(name), "after": value}
        for name, value in after.items()
        if before.get(name) != value
    }
