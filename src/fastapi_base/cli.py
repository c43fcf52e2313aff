"""Commands for operators: `python -m fastapi_base.cli --help`."""

import asyncio
import secrets
import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer

from fastapi_base import cli_jobs, cli_schedule
from fastapi_base.cli_base import fail, load_settings, opened_database
from fastapi_base.core import passwords, rotation
from fastapi_base.core.caller import Origin
from fastapi_base.core.config import Settings
from fastapi_base.core.encryption import CannotDecrypt, Cipher
from fastapi_base.core.errors import Conflict, DomainError, NotFound, WeakPassword
from fastapi_base.core.security import hash_password
from fastapi_base.core.tls import database_tls
from fastapi_base.main import create_app
from fastapi_base.migrations import runner
from fastapi_base.schemas.user import PASSWORD_MAX, PASSWORD_MIN, normal_email
from fastapi_base.services import audit, one_time, sessions, totp, users
from fastapi_base.services.audit import Action

app = typer.Typer(
    help="Commands for operators of fastapi-base. Settings come from the environment and from .env"
    " in the working folder; .env.example lists them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(cli_jobs.relay)
app.add_typer(cli_jobs.jobs, name="jobs")
app.add_typer(cli_schedule.schedule, name="schedule")


@app.command()
def migrate(
    revision: Annotated[str, typer.Argument(help="Up to this migration.")] = "head",
) -> None:
    """Bring the database up to date.

    Safe to start on several machines at once: one migrates, the others wait and find nothing to do.
    """
    settings = load_settings()
    try:
        tls = database_tls(settings.database)
        runner.upgrade(settings.database.url.get_secret_value(), revision, tls)
    except OSError as error:
        fail(f"DATABASE_URL: the database does not answer ({error})")
    typer.echo("The database is up to date.")


@app.command()
def create_admin() -> None:
    """Make the first superuser out of FIRST_ADMIN_EMAIL and FIRST_ADMIN_PASSWORD.

    Does nothing when the address has an account already; the password of an account stays.
    """
    settings = load_settings()
    given = settings.first_admin
    if given.email is None or given.password is None:
        fail("FIRST_ADMIN_EMAIL and FIRST_ADMIN_PASSWORD: set both")
    password = given.password.get_secret_value()
    if len(password) < PASSWORD_MIN:
        fail(f"FIRST_ADMIN_PASSWORD: must have at least {PASSWORD_MIN} characters")
    email = normal_email(given.email)
    if email is None:
        fail("FIRST_ADMIN_EMAIL: must be an email address")
    try:
        passwords.check(password, email)
    except WeakPassword as error:
        fail(f"FIRST_ADMIN_PASSWORD: {error.detail}")
    try:
        added = asyncio.run(_add_admin(settings, email, password))
    except DomainError as error:
        fail(f"DATABASE_URL: {error.detail}")
    typer.echo(f"{email}: {'superuser created' if added else 'has an account already, unchanged'}.")


@app.command()
def reset_password(
    email: Annotated[str, typer.Argument(help="Whose.")],
    password_stdin: Annotated[
        bool, typer.Option(help="Read the new password from standard input.")
    ] = False,
) -> None:
    """Set a new password, and end the account's sessions.

    Without --password-stdin it makes one and prints it; its owner should change it.
    """
    settings = load_settings()
    made = "" if password_stdin else secrets.token_urlsafe(15)
    password = made or sys.stdin.readline().rstrip("\r\n")
    address = normal_email(email) or fail("EMAIL: must be an email address")
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        fail(f"The password must have {PASSWORD_MIN} to {PASSWORD_MAX} characters")
    try:
        passwords.check(password, address)
        count = asyncio.run(_end_sessions(settings, address, password))
    except WeakPassword as error:
        fail(f"The password is too easy: {error.detail}")
    except DomainError as error:
        fail(error.detail)
    typer.echo(f"{address}: password set, sessions ended: {count}.")
    if made:
        typer.echo(f"The new password: {made}")


@app.command()
def revoke_sessions(email: Annotated[str, typer.Argument(help="Whose.")]) -> None:
    """End all sessions of an account, from their next request on."""
    settings = load_settings()
    address = normal_email(email) or fail("EMAIL: must be an email address")
    try:
        count = asyncio.run(_end_sessions(settings, address, None))
    except DomainError as error:
        fail(error.detail)
    typer.echo(f"{address}: sessions ended: {count}.")


@app.command()
def rotate_keys(
    folder: Annotated[
        Path | None,
        typer.Option(help="Where the new key pair goes; for EdDSA, ES256 and RS256."),
    ] = None,
) -> None:
    """Make a new key for access tokens, and print what to set so that nobody is logged out.

    Changes no process itself: keys come from the environment of each.
    """
    settings = load_settings().auth
    if settings.jwt_algorithm == "HS256":
        typer.echo(rotation.of_secrets(settings))
    elif folder is None:
        fail(f"--folder: {settings.jwt_algorithm} needs a place for the new key pair")
    else:
        try:
            typer.echo(rotation.of_key_pairs(settings, folder))
        except OSError as error:
            fail(f"--folder: {error.filename}: {error.strerror}. No key was made.")


@app.command()
def reencrypt() -> None:
    """Encrypt the secrets of second factors by AUTH_ENCRYPTION_KEY, wherever another key did.

    To change that key: make a new one, move the old one to AUTH_ENCRYPTION_ACCEPTED_KEYS, restart
    every process, run this, then empty AUTH_ENCRYPTION_ACCEPTED_KEYS.
    """
    settings = load_settings()
    try:
        count = asyncio.run(_reencrypt(settings))
    except CannotDecrypt as error:
        fail(f"A secret cannot be decrypted: {error}. Nothing was changed.")
    except DomainError as error:
        fail(f"DATABASE_URL: {error.detail}")
    typer.echo(f"Encrypted anew: {count}")


@app.command()
def openapi(
    output: Annotated[Path | None, typer.Option(help="A file, instead of standard output.")] = None,
) -> None:
    """Write the API's description (OpenAPI, JSON)."""
    document = create_app(load_settings()).openapi()
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if output:
        output.write_bytes(text)
    else:
        sys.stdout.buffer.write(text)


@app.command()
def make_migration(
    message: Annotated[str, typer.Argument(help="What it does, in a few words.")],
) -> None:
    """Write the next migration: from the models' difference to a database that is up to date."""
    database = load_settings().database
    runner.revision(database.url.get_secret_value(), message, database_tls(database))


async def _end_sessions(settings: Settings, email: str, password: str | None) -> int:
    """End the sessions of an account, after its password was set where one is given."""
    async with opened_database(settings) as database:
        origin = Origin()
        async with database.read() as connection:
            found = await users.credentials(connection, email=email)
        if found is None:
            raise NotFound(f"EMAIL: no account has the address {email}")
        async with database.transaction() as session:
            if password is not None:
                new_hash = hash_password(password, settings.auth.bcrypt_rounds)
                if not await users.replace_password(
                    session, found.id, old_hash=found.password_hash, new_hash=new_hash
                ):
                    raise Conflict("The password was changed at the same moment; try again")
                await one_time.void(session, found.id)
                await audit.record(
                    session, Action.PASSWORD_RESET, origin, subject=found.id, by="command"
                )
            return await sessions.revoke_all(
                session, found.id, origin, actor=None, reason="by-command"
            )


async def _add_admin(settings: Settings, email: str, password: str) -> bool:
    async with opened_database(settings) as database, database.transaction() as session:
        # No event loop to protect here: hash in place.
        password_hash = hash_password(password, settings.auth.bcrypt_rounds)
        added = await users.add(
            session,
            email=email,
            password_hash=password_hash,
            is_superuser=True,
            # The operator says so, and may have to log in before mail works.
            is_verified=True,
        )
        if added:
            await audit.record(
                session, Action.REGISTERED, Origin(), subject=added, added="yes", by="command"
            )
        return added is not None


async def _reencrypt(settings: Settings) -> int:
    async with opened_database(settings) as database, database.transaction() as session:
        return await totp.reencrypt(session, Cipher(settings.auth))


if __name__ == "__main__":
    app()
