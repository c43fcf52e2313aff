"""Makes and sends the mails that the API asked for. Runs in a worker.

Each commits its token before the mail leaves. Run twice, it makes two; the last one's link works.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import structlog
from sqlalchemy import exists, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.caller import Origin
from fastapi_base.core.config import Settings
from fastapi_base.db.database import Database
from fastapi_base.models.email_change import EmailChange
from fastapi_base.models.user import User
from fastapi_base.services import audit, delivery, invitations, mail, one_time, users
from fastapi_base.services.audit import Action
from fastapi_base.services.delivery import MailNotSent
from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.errors import GiveUp, TryLater
from fastapi_base.services.mailer import Kind, MailJob
from fastapi_base.services.one_time import Purpose

Values = dict[str, str | None]
log = structlog.stdlib.get_logger(__name__)


async def send(job: JobContext, payload: MailJob) -> None:
    """Make a mail and hand it over; the work of a mail job.

    The next attempt makes the mail anew: its link is fresh, and the earlier one's is void. When the
    worker dies after the server took the mail, a second one leaves, under the same Message-ID.
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
    database: Database, settings: Settings, kind: Kind, values: Values
) -> EmailMessage | None:
    """The mail, or None where there is nothing to say, as to an address without an account."""
    async with database.transaction() as session:
        return await _MAKERS[kind](session, settings, values)


async def _registered(
    session: AsyncSession, settings: Settings, values: Values
) -> EmailMessage | None:
    """To who registered an address: a link to confirm it, or that it has an account already."""
    user = await _user(session, values["email"])
    if user is None:
        return None
    if user.email_verified_at:
        return mail.message(settings.mail, "account_exists", user.email)
    hours = settings.auth.verify_hours
    life = timedelta(hours=hours)
    token = await one_time.issue(session, user.id, Purpose.VERIFY, user.email, life)
    link = mail.link(settings.mail, "verify-email", token)
    return mail.message(settings.mail, "verify_email", user.email, link=link, hours=hours)


async def _reset(session: AsyncSession, settings: Settings, values: Values) -> EmailMessage | None:
    """To who forgot the password of an address: a link to set one."""
    user = await _user(session, values["email"])
    if user is None:
        return None
    minutes = settings.auth.reset_minutes
    life = timedelta(minutes=minutes)
    token = await one_time.issue(session, user.id, Purpose.RESET, user.email, life)
    origin = Origin(values["address"], values["user_agent"], values["request_id"])
    await audit.record(session, Action.RESET_REQUESTED, origin, subject=user.id)
    link = mail.link(settings.mail, "reset-password", token)
    return mail.message(settings.mail, "reset_password", user.email, link=link, minutes=minutes)


async def _invited(
    session: AsyncSession, settings: Settings, values: Values
) -> EmailMessage | None:
    """To who was invited: a link to register with."""
    found = await invitations.new_link(session, uuid.UUID(values["id"]))
    if found is None:
        return None
    email, token = found
    link = mail.link(settings.mail, "register", token)
    days = settings.auth.invitation_days
    return mail.message(settings.mail, "invited", email, link=link, days=days)


async def _email_change(
    session: AsyncSession, settings: Settings, values: Values
) -> EmailMessage | None:
    """To the old or the new address of an account: a link to confirm the change."""
    side, user_id = Purpose(values["side"] or ""), uuid.UUID(values["user_id"])
    change = await session.get(EmailChange, user_id)
    if change is None:
        return None
    address = change.old_email if side == Purpose.CHANGE_OLD else change.new_email
    if side == Purpose.CHANGE_NEW and await _taken(session, address):
        return mail.message(settings.mail, "address_in_use", address)
    life = change.expires_at - datetime.now(UTC)
    token = await one_time.issue(session, user_id, side, address, life)
    link = mail.link(settings.mail, "change-email", token)
    template = "change_email_old" if side == Purpose.CHANGE_OLD else "change_email_new"
    hours = settings.auth.verify_hours
    return mail.message(settings.mail, template, address, link=link, hours=hours)


async def _notice(session: AsyncSession, settings: Settings, values: Values) -> EmailMessage | None:
    """To the owner of an account: that something was done."""
    to = values.pop("to")
    if values["user_id"] is None:
        user = await _user(session, to)
        to = user.email if user else None
    elif to is None:
        whose = select(col(User.email)).where(col(User.id) == uuid.UUID(values["user_id"]))
        to = await session.scalar(whose)
    return mail.message(settings.mail, values["notice"] or "", to, **values) if to else None


async def _taken(session: AsyncSession, email: str) -> bool:
    return bool(await session.scalar(select(exists().where(col(User.email) == email))))


async def _user(session: AsyncSession, email: str | None) -> User | None:
    statement = select(User).where(col(User.email) == email, users.may_log_in())
    return (await session.scalars(statement)).one_or_none()


_Maker = Callable[[AsyncSession, Settings, Values], Awaitable[EmailMessage | None]]
_MAKERS: dict[Kind, _Maker] = {
    Kind.REGISTERED: _registered,
    Kind.RESET: _reset,
    Kind.INVITED: _invited,
    Kind.EMAIL_CHANGE: _email_change,
    Kind.NOTICE: _notice,
}
