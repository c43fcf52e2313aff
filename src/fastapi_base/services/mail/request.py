"""Asks workers for mails.

The API only names the mail: what is slow, or tells whether an address is known, happens in a
worker, where nobody can measure it. Tokens are made there too and are never in the job.
"""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import BaseModel
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import MailDisabled
from fastapi_base.core.queues import Queue
from fastapi_base.services import delivery
from fastapi_base.services.jobs import kinds
from fastapi_base.services.jobs.enqueue import enqueue


class Kind(StrEnum):
    """What a worker can be asked for; services/mails.py makes each."""

    REGISTERED = "registered"
    RESET = "reset"
    INVITED = "invited"
    EMAIL_CHANGE = "email-change"
    NOTICE = "notice"


class Notice(StrEnum):
    """What an owner is told. Each is the name of its template."""

    PASSWORD_CHANGED = "password_changed"
    EMAIL_CHANGED = "email_changed"
    DEACTIVATED = "deactivated"
    DELETION_ASKED = "deletion_asked"
    REACTIVATED = "reactivated"
    NEW_NETWORK = "new_network"
    MANY_FAILURES = "many_failures"


class MailJob(BaseModel):
    """A mail that a worker is to make and send."""

    kind: Kind
    values: dict[str, str | None]


# Ten minutes at the longest between two attempts: an hour and a half in all. What it holds is
# about persons, and of no use once the mail is sent.
MAIL = kinds.Kind("mail", MailJob, queue=Queue.MAIL, attempts=14, private=True)


@dataclass(frozen=True, slots=True)
class Mailer:
    """Has mails sent, in the transaction of what they are about: not without it, nor it without."""

    settings: Settings

    def require(self) -> None:
        """Raise MailDisabled where none is sent, before something is begun that needs it."""
        if not delivery.enabled(self.settings):
            raise MailDisabled

    async def ask(self, session: AsyncSession, kind: Kind, **values: str | None) -> None:
        """Have a mail sent after the commit. Raises MailDisabled where none is sent."""
        self.require()
        await self._enqueue(session, MailJob(kind=kind, values=values))

    async def ask_if_possible(
        self, session: AsyncSession, kind: Kind, **values: str | None
    ) -> None:
        """As `ask`, for what must not fail for want of mail."""
        if delivery.enabled(self.settings):
            await self._enqueue(session, MailJob(kind=kind, values=values))

    async def notify(
        self,
        session: AsyncSession,
        user_id: uuid.UUID | None,
        notice: Notice,
        *,
        to: str | None = None,
    ) -> None:
        """Tell the owner of an account, at its address or at the one given, what is done here.

        Without an id, only if the address given has an account: the caller need not know that.
        """
        at = datetime.now(UTC).strftime("%d %B %Y at %H:%M UTC")
        owner = str(user_id) if user_id else None
        await self.ask_if_possible(session, Kind.NOTICE, user_id=owner, notice=notice, at=at, to=to)

    async def _enqueue(self, session: AsyncSession, job: MailJob) -> None:
        await enqueue(session, MAIL, job)
