"""Commands about the audit log."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from fastapi_base.cli.base import (
    Cursor,
    Json,
    Limit,
    account_id,
    answer_page,
    fail,
    page_query,
    reading,
    settings_or_exit,
)
from fastapi_base.schemas.audit.audit import AuditEventRead, AuditFilter
from fastapi_base.services.audit import audit_log
from fastapi_base.services.audit.audit import Action
from fastapi_base.utils.pagination import Page

audit = typer.Typer(help="Read the audit log.", no_args_is_help=True)

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_COLUMNS = ("occurred_at", "action", "actor_id", "subject_id", "address", "details")


@audit.callback()
def _group() -> None:
    """Keeps `list` a command of the group, though it is the only one."""


@audit.command("list")
def list_events(
    account: Annotated[
        str | None,
        typer.Option(help="Only events that affect this account: e-mail address or id."),
    ] = None,
    actor: Annotated[
        str | None, typer.Option(help="Only actions of this account: e-mail address or id.")
    ] = None,
    action: Annotated[Action | None, typer.Option(help="Only this action.")] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help='Only events since then: "90m", "24h" or "7d" ago, or a time such as'
            " 2026-01-31T12:00:00Z (without a zone: UTC).",
        ),
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """List events, newest first, as tab-separated columns.

    The JSON document is that of `GET /api/v1/audit-events`.
    """
    settings = settings_or_exit()
    start = None if since is None else _moment(since)
    query = page_query(audit_log.LISTING, settings, limit, cursor)

    async def find(connection: AsyncConnection) -> Page[AuditEventRead]:
        async def of(given: str | None) -> uuid.UUID | None:
            return None if given is None else await account_id(connection, given)

        chosen = AuditFilter(
            actor_id=await of(actor),
            subject_id=await of(account),
            action=action,
            occurred_from=start,
        )
        return await audit_log.listed(connection, chosen, query)

    page = reading(find, "--account, --actor", settings=settings)
    answer_page(as_json, page, _COLUMNS)


def _moment(text: str) -> datetime:
    try:
        if ago := re.fullmatch(r"(\d+)([mhd])", text):
            return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        given = datetime.fromisoformat(text)
        return (given if given.tzinfo else given.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        fail(f"--since: {text!r} is neither a duration such as 24h nor a time in ISO 8601")
