"""Commands for operators: `python -m fastapi_base.cli --help`."""

import secrets
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import orjson
import typer
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.cli import jobs as cli_jobs
from fastapi_base.cli import schedule as cli_schedule
from fastapi_base.cli.base import fail, settings_or_exit, with_database
from fastapi_base.core import emails
from fastapi_base.core.config import Settings
from fastapi_base.core.errors import NotFound, WeakPassword
from fastapi_base.core.security import password_strength, rotation
from fastapi_base.core.security.caller import Origin
from fastapi_base.core.security.encryption import CannotDecrypt, Cipher
from fastapi_base.core.security.passwords import PASSWORD_MAX, hash_password
from fastapi_base.db.session import Database
from fastapi_base.main import create_app
from fastapi_base.migrations import runner
from fastapi_base.schemas.identity.user import PASSWORD_MIN, normal_email
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import accounts, sessions, totp, users
from fastapi_base.services.mail.request import Mailer

app = typer.Typer(
    help="Operator commands of fastapi-base. Settings are read from the environment and from .env"
    " in the working directory; .env.example lists them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(cli_jobs.relay)
app.add_typer(cli_jobs.jobs, name="jobs")
app.add_typer(cli_schedule.schedule, name="schedule")


@app.command()
def migrate(
    revision: Annotated[str, typer.Argument(help="Target migration.")] = "head",
) -> None:
    """Apply all pending migrations.

    Safe to run concurrently on several machines: one migrates, the others wait and do nothing.
    """
    with _migrating() as settings:
        runner.upgrade(settings.database, revision, settings.tls)
    typer.echo("The database is up to date.")


@app.command()
def create_admin() -> None:
    """Create the first superuser from FIRST_ADMIN_EMAIL and FIRST_ADMIN_PASSWORD.

    Does nothing if the address already has an account; its password stays unchanged.
    """
    settings = settings_or_exit()
    given = settings.first_admin
    if given.email is None or given.password is None:
        fail("FIRST_ADMIN_EMAIL and FIRST_ADMIN_PASSWORD: set both")
    password = given.password.get_secret_value()
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        fail(f"FIRST_ADMIN_PASSWORD: must have {PASSWORD_MIN} to {PASSWORD_MAX} characters")
    # Settings with anything else are not loaded.
    email = emails.normal(given.email)
    try:
        password_strength.check(password, email)
    except WeakPassword as error:
        fail(f"FIRST_ADMIN_PASSWORD: {error.detail}")
    # No event loop to protect here: hash in place.
    password_hash = hash_password(password, settings.auth.bcrypt_rounds)

    async def add(database: Database) -> uuid.UUID | None:
        async with database.transaction() as session:
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
            return added

    added = with_database(add, settings=settings)
    typer.echo(
        f"{email}: {'superuser created' if added else 'the account already exists, unchanged'}."
    )


@app.command()
def reset_password(
    email: Annotated[str, typer.Argument(help="E-mail address of the account.")],
    password_stdin: Annotated[
        bool, typer.Option(help="Read the new password from standard input.")
    ] = False,
) -> None:
    """Set a new password, end the account's sessions and notify its owner by mail.

    Without --password-stdin, a password is generated and printed; the owner should change it. The
    address then counts as verified: give the password only to its owner. If the address was
    unverified, API keys, passkeys, the second factor and links to providers are removed.
    """
    settings = settings_or_exit()
    made = "" if password_stdin else secrets.token_urlsafe(15)
    password = made or sys.stdin.readline().rstrip("\r\n")
    address = _email(email)
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        fail(f"The password must have {PASSWORD_MIN} to {PASSWORD_MAX} characters")
    try:
        password_strength.check(password, address)
    except WeakPassword as error:
        fail(f"The password is too weak: {error.detail}")
    password_hash = hash_password(password, settings.auth.bcrypt_rounds)

    async def reset(database: Database) -> int:
        async with database.transaction() as session:
            user_id = await _account(session, address)
            return await accounts.set_new_password(
                session, Mailer(settings), user_id, password_hash, Origin(), actor=None
            )

    count = with_database(reset, "EMAIL", settings=settings)
    typer.echo(f"{address}: password set, sessions ended: {count}.")
    if made:
        typer.echo(f"The new password: {made}")


@app.command()
def revoke_sessions(
    email: Annotated[str, typer.Argument(help="E-mail address of the account.")],
) -> None:
    """End all sessions of an account, from the next request on."""
    address = _email(email)

    async def revoke(database: Database) -> int:
        async with database.transaction() as session:
            user_id = await _account(session, address)
            return await sessions.revoke_all(
                session, user_id, Origin(), actor=None, reason="by-command"
            )

    count = with_database(revoke, "EMAIL")
    typer.echo(f"{address}: sessions ended: {count}.")


@app.command()
def rotate_keys(
    folder: Annotated[
        Path | None,
        typer.Option(help="Directory for the new key pair; for EdDSA, ES256 and RS256."),
    ] = None,
) -> None:
    """Generate a new key for access tokens and print the steps of a rotation without logouts.

    Running processes are not changed; they read keys from their environment.
    """
    settings = settings_or_exit().auth
    if settings.jwt_algorithm == "HS256":
        typer.echo(rotation.of_secrets(settings))
    elif folder is None:
        fail(f"--folder: required by {settings.jwt_algorithm}, for the new key pair")
    else:
        try:
            typer.echo(rotation.of_key_pairs(settings, folder))
        except OSError as error:
            fail(f"--folder: {error.filename}: {error.strerror}. No key was generated.")


@app.command()
def reencrypt() -> None:
    """Re-encrypt all second-factor secrets with the current AUTH_ENCRYPTION_KEY.

    To rotate that key: generate a new one, move the old one to AUTH_ENCRYPTION_ACCEPTED_KEYS,
    restart every process, run this command, then empty AUTH_ENCRYPTION_ACCEPTED_KEYS.
    """
    settings = settings_or_exit()

    async def work(database: Database) -> int:
        async with database.transaction() as session:
            return await totp.reencrypt(session, Cipher(settings.auth))

    try:
        count = with_database(work, settings=settings)
    except CannotDecrypt as error:
        fail(f"A secret cannot be decrypted: {error}. Nothing was changed.")
    typer.echo(f"Secrets re-encrypted: {count}")


@app.command()
def openapi(
    output: Annotated[
        Path | None, typer.Option(help="Output file (default: standard output).")
    ] = None,
) -> None:
    """Write the OpenAPI description as JSON."""
    document = create_app(settings_or_exit()).openapi()
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if output:
        output.write_bytes(text)
    else:
        sys.stdout.buffer.write(text)


@app.command()
def make_migration(
    message: Annotated[str, typer.Argument(help="Short description of the change.")],
) -> None:
    """Generate a migration from the difference between the models and the migrated database.

    `make migration` does the same with a database of its own.
    """
    with _migrating() as settings:
        written = runner.revision(settings.database, message, settings.tls)
    typer.echo(f"{written.path}{': empty, the models did not change' if written.empty else ''}")


@contextmanager
def _migrating() -> Iterator[Settings]:
    """The settings for a run of Alembic; exits with a sentence if the database cannot be migrated.

    Errors of the migrations themselves are raised.
    """
    settings = settings_or_exit()
    if settings.database.pgbouncer:
        fail("DATABASE_URL: migrations must connect to PostgreSQL, not PgBouncer (docs/data.md)")
    try:
        yield settings
    except runner.MigrationRunning as error:
        fail(f"DATABASE_URL: {error}")
    except OSError as error:
        if error.filename:
            # A certificate, or the new migration.
            fail(f"{error.filename}: {error.strerror}")
        fail(f"DATABASE_URL: the database does not answer ({error})")
    except DBAPIError as error:
        if error.statement is not None:
            raise
        fail(f"DATABASE_URL: the database refuses the connection ({error.orig})")
    except CommandError as error:
        fail(f"DATABASE_URL: {error} The command `migrate` applies all migrations.")


def _email(text: str) -> str:
    return normal_email(text) or fail("EMAIL: must be an e-mail address")


async def _account(session: AsyncSession, email: str) -> uuid.UUID:
    """The id of the account, which is locked. Raises NotFound."""
    found = await users.credentials(await session.connection(), email=email)
    if found is None or await users.lock(session, found.id) is None:
        raise NotFound(f"no account has the address {email}")
    return found.id
