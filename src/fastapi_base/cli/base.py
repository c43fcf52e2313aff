"""What commands share: settings, database access, arguments, output and error handling."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, NoReturn

import asyncpg
import typer
from pydantic import TypeAdapter
from sqlalchemy import Row
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from fastapi_base.core import emails
from fastapi_base.core.config import Settings, SettingsError, load_settings
from fastapi_base.core.config.notices import log_notices
from fastapi_base.core.errors import DomainError, NotFound
from fastapi_base.core.observability.logging import configure_logging
from fastapi_base.db.failures import UNAVAILABLE
from fastapi_base.db.session import Database, opened
from fastapi_base.schemas.identity.user import normal_email
from fastapi_base.services.identity import users
from fastapi_base.utils.pagination import CursorCodec, InvalidCursor, Listing, Page, PageQuery
from fastapi_base.utils.pagination.listing import context

LIMIT = 1000
# The classes of SQLSTATEs of a refused login and of a missing database.
_NOT_USABLE = ("28", "3D")
_JSON = TypeAdapter[object](Any)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Limit = Annotated[int, typer.Option(min=1, max=LIMIT, help="Maximum number of entries.")]
Cursor = Annotated[
    str | None, typer.Option(help="Continue a list: the cursor printed below the previous page.")
]
Account = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="E-mail address or id of the account.")
]


def settings_or_exit() -> Settings:
    """Load the settings and configure logging; exit if the settings are invalid."""
    try:
        settings = load_settings()
    except SettingsError as error:
        fail(f"The settings cannot be used:\n{error}")
    configure_logging(settings.log)
    emails.allow_special_domains(settings.auth.email_allow_special_domains)
    log_notices(settings)
    return settings


def fail(message: str) -> NoReturn:
    """Print the message to standard error and exit with code 1."""
    typer.echo(message, err=True)
    raise typer.Exit(1)


def with_database[T](
    work: Callable[[Database], Awaitable[T]],
    about: object = None,
    *,
    settings: Settings | None = None,
) -> T:
    """The result of the work; exits on a domain error or without a database.

    The message names `about`, or DATABASE_URL if that is None or the database does not answer. The
    settings are loaded unless the command has done so.
    """
    given = settings or settings_or_exit()

    async def go() -> T:
        async with opened(given.database, "fastapi-base-cli", given.tls) as database:
            return await work(database)

    try:
        return asyncio.run(go())
    except DomainError as error:
        of_database = about is None or isinstance(error, UNAVAILABLE)
        fail(f"{'DATABASE_URL' if of_database else about}: {error.detail}")
    except (DBAPIError, asyncpg.PostgresError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        if not str(getattr(cause, "sqlstate", "")).startswith(_NOT_USABLE):
            raise
        fail(f"DATABASE_URL: {cause}")


def reading[T](
    work: Callable[[AsyncConnection], Awaitable[T]],
    about: object = None,
    *,
    settings: Settings | None = None,
) -> T:
    """Like with_database(), for work that only reads."""

    async def read(database: Database) -> T:
        async with database.read() as connection:
            return await work(connection)

    return with_database(read, about, settings=settings)


async def account_id(connection: AsyncConnection, account: str) -> uuid.UUID:
    """The id of the account with this e-mail address, or the id itself, which may be unknown.

    Raises NotFound.
    """
    try:
        return uuid.UUID(account)
    except ValueError:
        email = normal_email(account)
    if email is None:
        raise NotFound("must be an e-mail address or an id")
    found = await users.credentials(connection, email=email)
    if found is None:
        raise NotFound(f"no account has the address {email}")
    return found.id


def page_query(listing: Listing, settings: Settings, limit: int, cursor: str | None) -> PageQuery:
    """The requested page, in the list's default order; exits if the cursor is invalid."""
    codec = CursorCodec([secret.get_secret_value().encode() for secret in settings.auth.secrets])
    order = listing.order((), ())
    try:
        position = codec.decode(cursor, context(listing, order)) if cursor else None
    except InvalidCursor:
        fail("--cursor: is not a cursor of this list and order; start without one")
    return PageQuery(listing, codec, limit, order, position)


def answer(as_json: bool, document: object, text: str) -> None:
    """Print the result of a command: the document as JSON, or the text."""
    if as_json:
        text = _JSON.dump_json(document, fallback=_columns).decode()
    typer.echo(text)


def answer_page(as_json: bool, page: Page[Any], columns: Sequence[str]) -> None:
    """Print a page of a list: as JSON like the HTTP API, or as a table of these columns.

    Standard error names the cursor of the next page.
    """
    rows = ([getattr(item, name) for name in columns] for item in page.items)
    answer(as_json, page, table(columns, rows))
    if page.next and not as_json:
        typer.echo(f"There are more entries: --cursor {page.next}", err=True)


def table(heads: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Tab-separated columns below their names."""
    return "\n".join("\t".join(map(shown, row)) for row in (heads, *rows))


def fields(values: dict[str, Any]) -> str:
    """One `name: value` a line, without those that are None."""
    return "\n".join(
        f"{name}: {shown(value)}" for name, value in values.items() if value is not None
    )


def shown(value: object) -> str:
    """The value as text on one line of a terminal."""
    match value:
        case None:
            text = ""
        case bool():
            text = "yes" if value else "no"
        case datetime():
            text = value.isoformat(timespec="seconds")
        case dict() | list():
            text = _JSON.dump_json(value).decode()
        case _:
            text = str(value)
    # Text from a database must not move the cursor or start a new line or column.
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _columns(value: object) -> object:
    if isinstance(value, Row):
        return dict(value._mapping)
    raise TypeError(type(value).__name__)
