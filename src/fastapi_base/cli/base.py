"""What commands share: settings, database access and error handling."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

import typer

from fastapi_base.core import emails
from fastapi_base.core.config import Settings, SettingsError, load_settings
from fastapi_base.core.config.notices import log_notices
from fastapi_base.core.errors import DomainError
from fastapi_base.core.observability.logging import configure_logging
from fastapi_base.db.failures import UNAVAILABLE
from fastapi_base.db.session import Database, opened


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
