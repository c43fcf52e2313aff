"""Traces and error reports of the API, as the settings ask for."""

import asyncio
import random
from typing import TYPE_CHECKING

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_base.core import reporting, tracing
from fastapi_base.core.config import Settings

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig


def start(settings: Settings) -> "TelemetryConfig":
    """Begin, and return what FastAPI must know: it makes the span of a request by itself."""
    reporting.start(settings)
    provider = tracing.start(settings, "fastapi-base-api")
    return {
        "tracing": provider is not None,
        "tracer_provider": provider,
        "operation_spans": False,
        # Prometheus and our own logs have these.
        "metrics": False,
        "logs": False,
        "auto_configure": False,
        "exclude": lambda scope: scope["path"].startswith("/health/"),
    }


async def stop() -> None:
    """Send what waits."""
    await asyncio.to_thread(tracing.stop)
    await asyncio.to_thread(reporting.stop)


class TransactionsMiddleware:
    """Reports how long a share of the requests takes.

    The dice are cast here: the SDK would do most of its work first, for each request, and that is
    more work than many requests are.
    """

    def __init__(self, app: ASGIApp, share: float) -> None:
        from sentry_sdk.integrations.asgi import SentryAsgiMiddleware

        self.app = app
        self.watched = SentryAsgiMiddleware(app, transaction_style="endpoint")
        self.share = share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        chosen = random.random() < self.share  # noqa: S311
        await (self.watched if chosen else self.app)(scope, receive, send)


def transactions(settings: Settings) -> list[Middleware]:
    """The middleware that reports how long requests take, where a share of them is."""
    if settings.sentry.dsn is None or not settings.sentry.traces:
        return []
    return [Middleware(TransactionsMiddleware, share=settings.sentry.traces)]
