"""Commands about accounts."""

import secrets
import sys
import uuid
from getpass import getpass
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.cli.base import (
    Account,
    Cursor,
    Json,
    Limit,
    account_id,
    answer,
    answer_page,
    fail,
    fields,
    page_query,
    reading,
    settings_or_exit,
    with_database,
)
from fastapi_base.core.config import Settings
from fastapi_base.core.errors import WeakPassword
from fastapi_base.core.security import password_strength
from fastapi_base.core.security.caller import Origin
from fastapi_base.core.security.passwords import PASSWORD_MAX, hash_password
from fastapi_base.db.session import Database
from fastapi_base.schemas.identity.admin import AccountOverview, UserFilter
from fastapi_base.schemas.identity.user import PASSWORD_MIN, UserRead, normal_email
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import accounts as lifecycle
from fastapi_base.services.identity import admin, overview, sessions, users
from fastapi_base.services.mail.request import Mailer

accounts = typer.Typer(help="Find, show and change accounts.", no_args_is_help=True)

PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input.")
]

_COLUMNS = ("id", "email", "is_verified", "is_active", "is_superuser", "created_at")


@accounts.command()
def find(
    part: Annotated[
        str | None, typer.Argument(metavar="[PART]", help="Any part of the e-mail address.")
    ] = None,
    active: Annotated[
        bool | None, typer.Option("--active/--inactive", help="Only accounts with this status.")
    ] = None,
    superuser: Annotated[
        bool | None, typer.Option("--superuser/--user", help="Only accounts with this role.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    as_json: Json = False,
) -> None:
    """List accounts, newest first, as tab-separated columns.

    The JSON document is that of `GET /api/v1/users`.
    """
    settings = settings_or_exit()
    if part and not part.isprintable():
        fail("PART: must be printable text")
    query = page_query(admin.LISTING, settings, limit, cursor)
    chosen = UserFilter(is_active=active, is_superuser=superuser)
    page = reading(
        lambda connection: admin.listed(connection, chosen, query, email_part=part),
        settings=settings,
    )
    answer_page(as_json, page, _COLUMNS)


@accounts.command()
def show(account: Account, as_json: Json = False) -> None:
    """Show an account: its profile, and its numbers of sessions, API keys and passkeys."""
    settings = settings_or_exit()

    async def of(connection: AsyncConnection) -> AccountOverview:
        return await overview.of(connection, await account_id(connection, account))

    found = reading(of, "ACCOUNT", settings=settings)
    answer(as_json, found, fields(found.model_dump()))


@accounts.command()
def deactivate(account: Account, as_json: Json = False) -> None:
    """Deactivate an account, from its next request on.

    Its sessions and API keys end permanently. The last active superuser cannot be deactivated.
    """
    _set_active(account, False, as_json)


@accounts.command()
def reactivate(account: Account, as_json: Json = False) -> None:
    """Reactivate an account. Its former sessions and API keys remain invalid."""
    _set_active(account, True, as_json)


@accounts.command()
def create_admin(
    email: Annotated[
        str | None,
        typer.Argument(help="E-mail address of the superuser.", show_default="FIRST_ADMIN_EMAIL"),
    ] = None,
    password_stdin: PasswordStdin = False,
    as_json: Json = False,
) -> None:
    """Create the first superuser, with FIRST_ADMIN_PASSWORD or a password from standard input.

    Does nothing if the address already has an account; its password stays unchanged.
    """
    settings = settings_or_exit()
    first = settings.first_admin
    address = email or first.email
    if address is None or (first.password is None and not password_stdin):
        fail("FIRST_ADMIN_EMAIL and FIRST_ADMIN_PASSWORD: set both, or see --help")
    # The settings hold no other address than a valid one.
    address = _email(address)
    if password_stdin or first.password is None:
        password_hash = _hashed(_typed(), address, settings, "The password")
    else:
        password = first.password.get_secret_value()
        password_hash = _hashed(password, address, settings, "FIRST_ADMIN_PASSWORD:")

    async def add(database: Database) -> uuid.UUID | None:
        async with database.transaction() as session:
            added = await users.add(
                session,
                email=address,
                password_hash=password_hash,
                is_superuser=True,
                # The operator says so, and may have to log in before mail works.
                is_verified=True,
            )
            if added:
                await audit.record(
                    session, Action.REGISTERED, Origin(), subject=added, added="yes", by="command"
                )
            return added

    added = with_database(add, settings=settings)
    said = "superuser created" if added else "the account already exists, unchanged"
    answer(as_json, {"email": address, "created": added is not None}, f"{address}: {said}.")


@accounts.command()
def reset_password(
    account: Account,
    password_stdin: PasswordStdin = False,
    as_json: Json = False,
) -> None:
    """Set a new password, end the account's sessions and notify its owner by mail.

    Without --password-stdin, a password is generated and printed; the owner should change it. The
    address then counts as verified: give the password only to its owner. If the address was
    unverified, API keys, passkeys, the second factor and links to providers are removed.
    """
    settings = settings_or_exit()
    made = "" if password_stdin else secrets.token_urlsafe(15)
    password = made or _typed()

    async def reset(database: Database) -> tuple[str, int]:
        async with database.transaction() as session:
            user = await _locked(session, account)
            password_hash = _hashed(password, user.email, settings, "The password")
            return user.email, await lifecycle.set_new_password(
                session, Mailer(settings), user.id, password_hash, Origin(), actor=None
            )

    email, count = with_database(reset, "ACCOUNT", settings=settings)
    text = f"{email}: password set, sessions ended: {count}."
    answer(
        as_json,
        {"email": email, "sessions_ended": count, "password": made or None},
        f"{text}\nThe new password: {made}" if made else text,
    )


@accounts.command()
def revoke_sessions(account: Account, as_json: Json = False) -> None:
    """End all sessions of an account, from the next request on."""

    async def revoke(database: Database) -> tuple[str, int]:
        async with database.transaction() as session:
            user = await _locked(session, account)
            return user.email, await sessions.revoke_all(
                session, user.id, Origin(), actor=None, reason="by-command"
            )

    email, count = with_database(revoke, "ACCOUNT")
    answer(as_json, {"email": email, "sessions_ended": count}, f"{email}: sessions ended: {count}.")


def _set_active(account: str, active: bool, as_json: bool) -> None:
    settings = settings_or_exit()

    async def change(database: Database) -> UserRead:
        async with database.transaction() as session:
            user_id = await account_id(await session.connection(), account)
            return await admin.set_active(
                session, user_id, active, actor=admin.OPERATOR, origin=Origin()
            )

    changed = with_database(change, "ACCOUNT", settings=settings)
    answer(as_json, changed, f"{changed.email}: {'active' if active else 'deactivated'}.")


def _typed() -> str:
    if sys.stdin.isatty():
        return getpass("Password: ")
    try:
        # Editors may write a byte order mark.
        line = sys.stdin.buffer.readline().decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        fail("The password must be text in UTF-8")
    if "\0" in line:
        fail("The password must not contain NUL")
    return line


def _hashed(password: str, email: str, settings: Settings, name: str) -> str:
    """The hash of a new password; exits with its `name` if it is too short, long or weak."""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        fail(f"{name} must have {PASSWORD_MIN} to {PASSWORD_MAX} characters")
    try:
        password_strength.check(password, email)
    except WeakPassword as error:
        fail(f"{name} is too weak: {error.detail}")
    # No event loop to protect here: hash in place.
    return hash_password(password, settings.auth.bcrypt_rounds)


def _email(text: str) -> str:
    return normal_email(text) or fail("EMAIL: must be an e-mail address")


async def _locked(session: AsyncSession, account: str) -> UserRead:
    """The account with this e-mail address or id, which is locked. Raises NotFound."""
    return await users.lock_existing(session, await account_id(await session.connection(), account))
