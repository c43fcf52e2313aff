"""Requests mails from workers.

The API only names the mail: slow steps, and those that reveal whether an address is known, run in a
worker, where no client can measure them. Tokens are created there too and are never in the job.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import MailDisabled
from fastapi_base.core.messaging.queues import Queue
from fastapi_base.services.jobs import kinds
from fastapi_base.services.jobs.enqueue import enqueue
from fastapi_base.services.mail import delivery


class MailKind(StrEnum):
    """The kinds of mail that a worker can create; see services/mail/send.py."""

    REGISTERED = "registered"
    RESET = "reset"
    INVITED = "invited"
    EMAIL_CHANGE = "email-change"  # slice: email-change
    NOTICE = "notice"


class Notice(StrEnum):
    """Notifications to owners. Each is the name of its template."""

    PASSWORD_CHANGED = "password_changed"
    EMAIL_CHANGED = "email_changed"  # slice: email-change
    DEACTIVATED = "deactivated"
    DELETION_ASKED = "deletion_asked"
    REACTIVATED = "reactivated"
    NEW_NETWORK = "new_network"
    MANY_FAILURES = "many_failures"


class MailJob(BaseModel):
    """A mail for a worker to create and send."""

    kind: MailKind
    values: dict[str, str | None]


# At most ten minutes between two attempts: an hour and a half in all. The payload is personal data,
# and useless once the mail is sent.
MAIL = kinds.Kind("mail", MailJob, queue=Queue.MAIL, attempts=14, private=True)


@dataclass(frozen=True, slots=True)
class Mailer:
    """Requests mails in the transaction of the change they belong to: both commit or neither."""

    settings: Settings

    @property
    def enabled(self) -> bool:
        """Whether mail is enabled, so that owners can verify their addresses."""
        return delivery.enabled(self.settings)

    def require(self) -> None:
        """Raise MailDisabled if mail is disabled, before an operation starts that requires it."""
        if not self.enabled:
            raise MailDisabled

    async def request(self, session: AsyncSession, kind: MailKind, **values: str | None) -> None:
        """Send a mail after the commit. Raises MailDisabled if mail is disabled."""
        self.require()
        await self._enqueue(session, MailJob(kind=kind, values=values))

    async def request_if_enabled(
        self, session: AsyncSession, kind: MailKind, **values: str | None
    ) -> None:
        """Like `request`, for operations that must not fail without mail."""
        if self.enabled:
            await self._enqueue(session, MailJob(kind=kind, values=values))

    async def notify(
        self,
        session: AsyncSession,
        user_id: uuid.UUID | None,
        notice: Notice,
        *,
        to: str | None = None,
    ) -> None:
        """Notify an account's owner, at its address or at the one given.

        Without an id, only if the given address has an account: the caller need not know that.
        """
        at = datetime.now(UTC).strftime("%d %B %Y at %H:%M UTC")
        owner = str(user_id) if user_id else None
        await self.request_if_enabled(
            session, MailKind.NOTICE, user_id=owner, notice=notice, at=at, to=to
        )

    async def _enqueue(self, session: AsyncSession, job: MailJob) -> None:
        await enqueue(session, MAIL, job)
