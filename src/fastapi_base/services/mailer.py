"""Asks workers for mails.

The API only names the mail: what is slow, or tells whether an address is known, happens in a
worker, where nobody can measure it. Tokens are made there too and are never in the queue.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

import structlog

from fastapi_base.core.config import Settings
from fastapi_base.core.errors import MailDisabled, Overloaded, Unavailable
from fastapi_base.core.ids import uuid7
from fastapi_base.services import delivery

MAIL = "fastapi_base.mail"
log = structlog.stdlib.get_logger(__name__)


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


class Queue(Protocol):
    """What takes tasks; core.queue.TaskQueue in a running service."""

    async def send(self, task: str, task_id: str, arguments: Sequence[Any]) -> None:
        """Enqueue the task of this name. Raises Unavailable or Overloaded."""
        ...


class Mailer:
    """Enqueues mails. Ask after the commit: the worker has to find what the mail is about."""

    def __init__(self, queue: Queue, settings: Settings) -> None:
        self._queue = queue
        self._enabled = delivery.enabled(settings)

    def require(self) -> None:
        """Raise MailDisabled where none is sent, before something is begun that needs it."""
        if not self._enabled:
            raise MailDisabled

    async def ask(self, kind: Kind, **values: str | None) -> None:
        """Enqueue a mail. Raises Unavailable or Overloaded, and MailDisabled where none is sent."""
        self.require()
        await self._queue.send(MAIL, str(uuid7()), [kind, values])

    async def ask_if_possible(self, kind: Kind, **values: str | None) -> None:
        """As `ask`, for what is done already and must not fail for want of a mail."""
        if not self._enabled:
            return
        try:
            await self.ask(kind, **values)
        except (Unavailable, Overloaded) as error:
            log.warning("mail was not enqueued", kind=kind, reason=error.detail)

    async def notify(
        self, user_id: uuid.UUID | None, notice: Notice, *, to: str | None = None
    ) -> None:
        """Tell the owner of an account, at its address or at the one given, what was done just now.

        Without an id, only if the address given has an account: the caller need not know that.

        Never fails. After the commit, since a notice of what did not happen would be worse.
        """
        at = datetime.now(UTC).strftime("%d %B %Y at %H:%M UTC")
        owner = str(user_id) if user_id else None
        await self.ask_if_possible(Kind.NOTICE, user_id=owner, notice=notice, at=at, to=to)
