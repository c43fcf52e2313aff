"""Applications on a test's transaction, created once for all tests with equal settings."""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from fastapi import FastAPI

from fastapi_base.api.resources import Resources, open_resources
from fastapi_base.core import emails
from fastapi_base.core.config import Settings
from fastapi_base.core.observability.logging import configure_logging
from fastapi_base.main import create_app
from fastapi_base.services.identity.callers import find_callers
from tests.integration.databases import RolledBackDatabase
from tests.integration.mailing import DirectMailer

# Most tests use the settings of their module or the default ones.
KEPT = 4


@dataclass
class Made:
    """An application, and the database of the test that uses it."""

    settings: Settings
    database: RolledBackDatabase
    app: FastAPI | None = None

    @asynccontextmanager
    async def open(self, given: Settings) -> AsyncIterator[Resources]:
        """Open the resources of one test."""
        async with open_resources(given) as resources:
            replaced = replace(
                resources, database=self.database, callers=find_callers(self.database)
            )
            if given.mail.host:
                replaced = replace(replaced, mailer=DirectMailer(given, self.database))
            yield replaced


class Applications:
    """Lends applications to one test at a time.

    FastAPI analyses every route anew for each application, which takes longer than most tests.
    Middleware, resources and log handlers are new for each test. Traces and error reports are not
    started again: tests of these create their own application.
    """

    def __init__(self) -> None:
        self._made: deque[Made] = deque(maxlen=KEPT)

    def lend(self, settings: Settings, database: RolledBackDatabase) -> FastAPI:
        """An application with these settings on this database."""
        for made in self._made:
            if made.app is not None and made.settings == settings:
                made.database = database
                made.app.middleware_stack = None
                configure_logging(settings.log)
                emails.allow_special_domains(settings.auth.email_allow_special_domains)
                # The least recently used one is dropped first.
                self._made.remove(made)
                self._made.append(made)
                return made.app
        made = Made(settings, database)
        made.app = create_app(settings, made.open)
        self._made.append(made)
        return made.app
