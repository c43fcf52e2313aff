"""Commands for operators: `python -m fastapi_base.cli --help`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import orjson
import typer
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from fastapi_base.cli import accounts as cli_accounts
from fastapi_base.cli import audit as cli_audit
from fastapi_base.cli import flags as cli_flags
from fastapi_base.cli import jobs as cli_jobs
from fastapi_base.cli import schedule as cli_schedule
from fastapi_base.cli.base import Json, answer, fail, settings_or_exit, with_database
from fastapi_base.core.config import Settings
from fastapi_base.core.security import rotation
from fastapi_base.core.security.encryption import CannotDecrypt, Cipher
from fastapi_base.db.session import Database
from fastapi_base.migrations import runner
from fastapi_base.services.identity import totp

app = typer.Typer(
    help="Operator commands of fastapi-base. Settings are read from the environment and from .env"
    " in the working directory; .env.example lists them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.command()(cli_jobs.relay)
# Also by these names without the group.
app.command()(cli_accounts.create_admin)
app.command()(cli_accounts.reset_password)
app.command()(cli_accounts.revoke_sessions)
app.add_typer(cli_accounts.accounts, name="accounts")
app.add_typer(cli_flags.flags, name="flags")
app.add_typer(cli_audit.audit, name="audit")
app.add_typer(cli_jobs.jobs, name="jobs")
app.add_typer(cli_schedule.schedule, name="schedule")


@app.command()
def migrate(
    revision: Annotated[str, typer.Argument(help="Target migration.")] = "head",
    as_json: Json = False,
) -> None:
    """Apply all pending migrations.

    Safe to run concurrently on several machines: one migrates, the others wait and do nothing.
    """
    with _migrating() as settings:
        runner.upgrade(settings.database, revision, settings.tls)
    answer(as_json, {"revision": revision}, "The database is up to date.")


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
def reencrypt(as_json: Json = False) -> None:
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
    answer(as_json, {"reencrypted": count}, f"Secrets re-encrypted: {count}")


@app.command()
def openapi(
    output: Annotated[
        Path | None, typer.Option(help="Output file (default: standard output).")
    ] = None,
) -> None:
    """Write the OpenAPI description as JSON."""
    # Only here: the application takes long to import, and no other command needs it.
    from fastapi_base.main import create_app

    document = create_app(settings_or_exit()).openapi()
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if output:
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_bytes(text)
        except OSError as error:
            fail(f"--output: {error}")
    else:
        sys.stdout.buffer.write(text)


@app.command()
def make_migration(
    message: Annotated[str, typer.Argument(help="Short description of the change.")],
    as_json: Json = False,
) -> None:
    """Generate a migration from the difference between the models and the migrated database.

    `make migration` does the same with a database of its own.
    """
    with _migrating() as settings:
        written = runner.revision(settings.database, message, settings.tls)
    said = f"{written.path}{': empty, the models did not change' if written.empty else ''}"
    answer(as_json, {"path": str(written.path), "empty": written.empty}, said)


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
