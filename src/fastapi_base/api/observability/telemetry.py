"""Traces and error reports of the API, as configured."""

import asyncio
import random
from typing import TYPE_CHECKING

from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from fastapi_base.core.config import Settings
from fastapi_base.core.observability import reporting, tracing

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig


def start(settings: Settings) -> "TelemetryConfig":
    """Start telemetry; returns its configuration for FastAPI, which creates request spans."""
    reporting.start(settings)
    provider = tracing.start(settings, "fastapi-base-api")
    return {
        "tracing": provider is not None,
        "tracer_provider": provider,
        "operation_spans": False,
        # Prometheus and the log already cover these.
        "metrics": False,
        "logs": False,
        "auto_configure": False,
        "exclude": lambda scope: scope["path"].startswith("/health/"),
    }


async def stop() -> None:
    """Flush pending data."""
    await asyncio.to_thread(tracing.stop)
    await asyncio.to_thread(reporting.stop)


class TransactionsMiddleware:
    """Reports the duration of a sample of the requests.

    Sampling happens here: the SDK would do most of its work before it samples, which costs more
    than many requests do.
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
    """The middleware that reports durations, if the sample rate is above zero."""
    if settings.sentry.dsn is None or not settings.sentry.traces:
        return []
    return [Middleware(TransactionsMiddleware, share=settings.sentry.traces)]
