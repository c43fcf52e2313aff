"""What commands share: their settings, their database, their end when something is wrong."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

import typer

from fastapi_base.core.config import Settings, SettingsError
from fastapi_base.core.errors import DomainError
from fastapi_base.core.logging import configure_logging
from fastapi_base.db.database import Database, EngineDatabase
from fastapi_base.db.engine import create_engine


def load_settings() -> Settings:
    """The settings, with logging set up by them; ends the command when they cannot be used."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        fail(f"The settings cannot be used:\n{error}")
    configure_logging(settings.log)
    return settings


def fail(message: str) -> NoReturn:
    """End the command with exit code 1 and this on standard error."""
    typer.echo(message, err=True)
    raise typer.Exit(1)


@asynccontextmanager
async def opened_database(settings: Settings) -> AsyncIterator[EngineDatabase]:
    """The database, with connections of this command's own."""
    engine = create_engine(settings.database, "fastapi-base-cli")
    try:
        yield EngineDatabase.of(settings.database, engine)
    finally:
        await engine.dispose()


def with_database[T](work: Callable[[Database], Awaitable[T]], about: object = None) -> T:
    """What the work returns; ends the command where a rule or the database forbids it.

    The message names `about`, or DATABASE_URL.
    """
    settings = load_settings()

    async def go() -> T:
        async with opened_database(settings) as database:
            return await work(database)

    try:
        return asyncio.run(go())
    except DomainError as error:
        fail(f"{'DATABASE_URL' if about is None else about}: {error.detail}")
