"""Creates and sends the mails that the API requested. Runs in a worker.

Each token is committed before its mail is sent. A second run sends a second mail; only its link
works.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import timedelta
from email.message import EmailMessage

import structlog
from sqlalchemy import exists, func, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.config import Settings
from fastapi_base.core.security.caller import Origin
from fastapi_base.db.session import Database
from fastapi_base.models.identity.email_change import EmailChange  # slice: email-change
from fastapi_base.models.identity.user import User
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import invitations, single_use_tokens, users
from fastapi_base.services.identity.single_use_tokens import Purpose
from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.errors import GiveUp, TryLater
from fastapi_base.services.mail import delivery, render
from fastapi_base.services.mail.delivery import MailNotSent
from fastapi_base.services.mail.request import MailJob, MailKind

Values = dict[str, str | None]
log = structlog.stdlib.get_logger(__name__)


async def send(job: JobContext, payload: MailJob) -> None:
    """Create a mail and send it; the work of a mail job.

    The next attempt creates a new mail with a new link, which voids the earlier one. If the worker
    dies after the server accepted the mail, a second one is sent under the same Message-ID.
    """
    made = await make(job.database, job.settings, payload.kind, dict(payload.values))
    if made is None:
        return
    domain = str(made["Message-ID"]).partition("@")[2]
    made.replace_header("Message-ID", f"<{job.id}@{domain}")
    try:
        # Blocks for MAIL_TIMEOUT at most.
        await asyncio.to_thread(delivery.deliver, job.settings, made)
    except MailNotSent as error:
        raise (GiveUp if error.final else TryLater)(str(error)) from None
    log.info("mail sent", kind=payload.kind)


async def make(
    database: Database, settings: Settings, kind: MailKind, values: Values
) -> EmailMessage | None:
    """The mail, or None if there is nothing to send, for example if no account has the address."""
    async with database.transaction() as session:
        return await _MAKERS[kind](session, settings, values)


async def _registered(
    session: AsyncSession, settings: Settings, values: Values
) -> EmailMessage | None:
    """After a registration: a link to verify the address, or a note that it has an account."""
    user = await _user(session, values["email"])
    if user is None:
        return None
    if user.email_verified_at:
        return render.message(settings.mail, "account_exists", user.email)
    hours = settings.auth.verify_hours
    life = timedelta(hours=hours)
    token = await single_use_tokens.issue(session, user.id, Purpose.VERIFY, user.email, life)
    link = render.link(settings.mail, "verify-email", token)
    return render.message(settings.mail, "verify_email", user.email, link=link, hours=hours)


async def _reset(session: AsyncSession, settings: Settings, values: Values) -> EmailMessage | None:
    """After a forgotten password: a link to set a new one."""
    user = await _user(session, values["email"])
    if user is None:
        return None
    minutes = settings.auth.reset_minutes
    life = timedelta(minutes=minutes)
    token = await single_use_tokens.issue(session, user.id, Purpose.RESET, user.email, life)
    # A superuser's request is in the audit log already, with its actor.
    if "by" not in values:
        origin = Origin(values["address"], values["user_agent"], values["request_id"])
        await audit.record(session, Action.RESET_REQUESTED, origin, subject=user.id)
    link = render.link(settings.mail, "reset-password", token)
    return render.message(settings.mail, "reset_password", user.email, link=link, minutes=minutes)


async def _invited(
    session: AsyncSession, settings: Settings, values: Values
) -> EmailMessage | None:
    """For an invitation: a link to register."""
    found = await invitations.new_link(session, uuid.UUID(values["id"]))
    if found is None:
        return None
    email, token = found
    link = render.link(settings.mail, "register", token)
    days = settings.auth.invitation_days
    return render.message(settings.mail, "invited", email, link=link, days=days)


# begin slice: email-change
async def _email_change(
    session: AsyncSession, settings: Settings, values: Values
) -> EmailMessage | None:
    """To the old or the new address of an account: a link to confirm the change."""
    side, user_id = Purpose(values["side"] or ""), uuid.UUID(values["user_id"])
    pending = select(
        col(EmailChange.old_email),
        col(EmailChange.new_email),
        (col(EmailChange.expires_at) - func.statement_timestamp()).label("life"),
    ).where(col(EmailChange.user_id) == user_id)
    change = (await (await session.connection()).execute(pending)).first()
    if change is None:
        return None
    address = change.old_email if side == Purpose.CHANGE_OLD else change.new_email
    if side == Purpose.CHANGE_NEW and await _taken(session, address):
        return render.message(settings.mail, "address_in_use", address)
    token = await single_use_tokens.issue(session, user_id, side, address, change.life)
    link = render.link(settings.mail, "change-email", token)
    template = "change_email_old" if side == Purpose.CHANGE_OLD else "change_email_new"
    hours = settings.auth.verify_hours
    return render.message(settings.mail, template, address, link=link, hours=hours)


# end slice: email-change
async def _notice(session: AsyncSession, settings: Settings, values: Values) -> EmailMessage | None:
    """To the owner of an account: a notification."""
    to = values.pop("to")
    if values["user_id"] is None:
        user = await _user(session, to)
        to = user.email if user else None
    elif to is None:
        whose = select(col(User.email)).where(col(User.id) == uuid.UUID(values["user_id"]))
        to = await session.scalar(whose)
    return render.message(settings.mail, values["notice"] or "", to, **values) if to else None


# begin slice: email-change
async def _taken(session: AsyncSession, email: str) -> bool:
    return bool(await session.scalar(select(exists().where(col(User.email) == email))))


# end slice: email-change
async def _user(session: AsyncSession, email: str | None) -> User | None:
    statement = select(User).where(col(User.email) == email, users.may_log_in())
    return (await session.scalars(statement)).one_or_none()


_Maker = Callable[[AsyncSession, Settings, Values], Awaitable[EmailMessage | None]]
_MAKERS: dict[MailKind, _Maker] = {
    MailKind.REGISTERED: _registered,
    MailKind.RESET: _reset,
    MailKind.INVITED: _invited,
    MailKind.EMAIL_CHANGE: _email_change,  # slice: email-change
    MailKind.NOTICE: _notice,
}
