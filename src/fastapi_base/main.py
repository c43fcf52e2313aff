"""The application, put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from fastapi import FastAPI
from sqlalchemy.orm import configure_mappers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from fastapi_base import VERSION
from fastapi_base.api import errors, health, openapi, telemetry, well_known
from fastapi_base.api.dispatch import DispatchMiddleware, Table
from fastapi_base.api.middleware.access_log import AccessLogMiddleware
from fastapi_base.api.middleware.admission import AdmissionMiddleware
from fastapi_base.api.middleware.body_limit import BodyLimitMiddleware
from fastapi_base.api.middleware.compression import CompressionMiddleware
from fastapi_base.api.middleware.deadline import DeadlineMiddleware
from fastapi_base.api.middleware.rate_limit import RateLimitMiddleware
from fastapi_base.api.middleware.request_id import RequestIdMiddleware
from fastapi_base.api.middleware.security_headers import SecurityHeadersMiddleware
from fastapi_base.api.middleware.trusted_host import TrustedHostMiddleware
from fastapi_base.api.middleware.unhandled import UnhandledErrorMiddleware
from fastapi_base.api.request_metrics import RequestMetrics
from fastapi_base.api.resources import OpenResources, open_resources
from fastapi_base.api.v1.router import router
from fastapi_base.core import tracing
from fastapi_base.core.config import Settings
from fastapi_base.core.errors import DeadlineExceeded, RateLimited
from fastapi_base.core.logging import configure_logging


def create_app(
    settings: Settings | None = None, resources: OpenResources = open_resources
) -> FastAPI:
    """The application. Without `settings` it reads them from the environment.

    Nothing is opened before the lifespan starts. Raises SettingsError for settings that cannot be
    used or must not be used in production.
    """
    settings = settings or Settings.load()
    configure_logging(settings.log)
    # What all need is made here, before processes are forked: they share its memory.
    if settings.passkey.rp_id:
        import_module("fastapi_base.services.passkeys")
    if settings.oidc.providers:
        import_module("fastapi_base.services.oidc")
    # Before resources are opened: what they open is watched.
    observed = telemetry.start(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with resources(settings) as opened:
            app.state.resources = opened
            yield
        await telemetry.stop()

    table = Table()
    app = FastAPI(
        title="fastapi-base",
        summary="A production base for HTTP services.",
        description=openapi.DESCRIPTION,
        version=VERSION,
        openapi_tags=openapi.TAGS,
        openapi_url="/openapi.json" if settings.api.docs else None,
        redoc_url=None,
        lifespan=lifespan,
        middleware=_middleware(settings, table),
        telemetry=observed,
        generate_unique_id_function=openapi.operation_id,
    )
    # Any route can be refused so; those with more to say of 429 or 503 say it themselves.
    app.include_router(router, responses=openapi.problems(RateLimited, DeadlineExceeded))
    app.include_router(health.router)
    app.include_router(well_known.router)
    errors.install(app)
    app.openapi = openapi.schema(app)  # type: ignore[method-assign]
    table.fill(app)
    configure_mappers()
    return app


def _middleware(settings: Settings, table: Table) -> list[Middleware]:
    """Outermost first."""
    production = settings.app.environment == "production"
    chain = [
        *telemetry.transactions(settings),
        Middleware(
            RequestIdMiddleware, trace_id=tracing.trace_id if settings.tracing.endpoint else None
        ),
        Middleware(
            AccessLogMiddleware, observe=RequestMetrics() if settings.metrics.port else None
        ),
        Middleware(SecurityHeadersMiddleware, hsts=production),
    ]
    if settings.api.cors_origins:
        chain.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.api.cors_origins,
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-Request-ID"],
                expose_headers=[
                    "ETag",
                    "Link",
                    "Location",
                    "RateLimit",
                    "RateLimit-Policy",
                    "Retry-After",
                    "X-Request-ID",
                ],
                max_age=600,
            )
        )
    if "*" not in settings.api.trusted_hosts:
        chain.append(Middleware(TrustedHostMiddleware, hosts=settings.api.trusted_hosts))
    if settings.api.compress_from_bytes:
        chain.append(
            Middleware(CompressionMiddleware, minimum_size=settings.api.compress_from_bytes)
        )
    chain += [
        Middleware(UnhandledErrorMiddleware, debug=settings.app.debug),
        Middleware(
            AdmissionMiddleware,
            at_once=settings.api.concurrency,
            patience=settings.api.queue_seconds,
        ),
        Middleware(DeadlineMiddleware, seconds=settings.api.deadline),
    ]
    if settings.rate_limit.enabled:
        chain.append(Middleware(RateLimitMiddleware, settings=settings.rate_limit))
    return [
        *chain,
        Middleware(BodyLimitMiddleware, limit=settings.api.max_body_bytes),
        Middleware(DispatchMiddleware, table=table),
    ]
