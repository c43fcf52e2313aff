"""What commands share: their settings, their database, their end when something is wrong."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

import typer

from fastapi_base.core.config import Settings, SettingsError
from fastapi_base.core.logging import configure_logging
from fastapi_base.db.database import EngineDatabase
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
