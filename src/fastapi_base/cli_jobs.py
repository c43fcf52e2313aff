"""Commands about background jobs."""

import asyncio
import sys

from fastapi_base.core.config import Settings, SettingsError
from fastapi_base.core.logging import configure_logging
from fastapi_base.tasks.relay import serve


def relay() -> None:
    """Hand jobs from PostgreSQL to the broker, until it is stopped. Several may run."""
    try:
        settings = Settings.load()
    except SettingsError as error:
        sys.exit(f"The settings cannot be used:\n{error}")
    configure_logging(settings.log)
    asyncio.run(serve(settings))
