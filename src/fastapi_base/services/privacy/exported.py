"""The exported data of an account, table by table, and what is excluded.

Add each table that belongs to accounts to one of the two lists: a test reports each table and
column that is in neither.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, case, or_, select
from sqlmodel import SQLModel, col

from fastapi_base.models.audit.audit import AuditEvent
from fastapi_base.models.identity.api_key import ApiKey
from fastapi_base.models.identity.email_change import EmailChange  # slice: email-change
from fastapi_base.models.identity.external_identity import ExternalIdentity  # slice: oidc
from fastapi_base.models.identity.passkey import Passkey  # slice: passkeys
from fastapi_base.models.identity.second_factor import TotpFactor
from fastapi_base.models.identity.session import LoginSession
from fastapi_base.models.identity.user import User
from fastapi_base.models.items.item import Item  # slice: items
from fastapi_base.models.jobs.job import Job


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the archive: an account's rows of a table.

    `hidden` are columns that are not exported: secrets, and columns without personal data.
    """

    name: str
    table: type[SQLModel]
    rows: Callable[[uuid.UUID], Select[Any]]
    hidden: frozenset[str]


def owned(name: str, table: type[SQLModel], owner: str, *hidden: str) -> Part:
    """The rows whose column `owner` is the account, oldest first if they have a time."""
    columns = table.__table__.columns  # type: ignore[attr-defined]
    shown = [column for column in columns if column.key not in hidden]
    by = [columns["created_at"]] if "created_at" in columns else []
    statement = select(*shown).order_by(*by)
    return Part(
        name, table, lambda account: statement.where(columns[owner] == account), frozenset(hidden)
    )


def _events(account: uuid.UUID) -> Select[Any]:
    """Events by the account or about it.

    Events by others omit where they acted from; events about others omit what changed.
    """
    by, to = col(AuditEvent.actor_id), col(AuditEvent.subject_id)
    own = or_(by.is_(None), by == account)
    return (
        select(
            col(AuditEvent.id),
            col(AuditEvent.occurred_at),
            col(AuditEvent.action),
            by,
            to,
            case((own, col(AuditEvent.address))).label("address"),
            case((own, col(AuditEvent.user_agent))).label("user_agent"),
            case((own, col(AuditEvent.request_id))).label("request_id"),
            case((or_(to.is_(None), to == account), col(AuditEvent.details))).label("details"),
        )
        .where(or_(by == account, to == account))
        .order_by(col(AuditEvent.id))
    )


EXPORTED: tuple[Part, ...] = (
    owned("account", User, "id", "password_hash"),
    owned("sessions", LoginSession, "user_id"),
    owned("api-keys", ApiKey, "user_id", "digest"),
    # begin slice: passkeys
    owned("passkeys", Passkey, "user_id", "credential_id", "public_key", "sign_count"),
    # end slice: passkeys
    owned("second-factors", TotpFactor, "user_id", "secret", "last_step"),
    owned("identities", ExternalIdentity, "user_id"),  # slice: oidc
    owned("email-changes", EmailChange, "user_id"),  # slice: email-change
    # A payload may contain secrets; the keys and counts are internals of job execution.
    owned(
        *("jobs", Job, "owner_id"),
        *("payload", "seq", "version", "priority", "trace", "unique_key", "unique_until"),
        *("order_key", "publishes", "published_at", "max_attempts"),
    ),
    Part("audit-events", AuditEvent, _events, frozenset()),
    owned("items", Item, "owner_id"),  # slice: items
)

# Tables that relate to accounts and are not exported, each with the reason.
LEFT_OUT: dict[str, str] = {
    "file_chunks": "archives such as this one",
    "files": "archives such as this one",
    "flag_overrides": "the operators' choice of accounts for which a feature flag is enabled",
    "idempotency_keys": "responses stored for some hours; the data in them is in the other files",
    "invitations": "addresses of other people, whom a superuser invited",
    "one_time_tokens": "digests of links in mails",
    "recovery_codes": "digests of codes",
    "refresh_tokens": "digests of tokens; the sessions are exported",
}
