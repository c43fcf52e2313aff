"""The application factory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from fastapi import FastAPI
from sqlalchemy.orm import configure_mappers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from fastapi_base import VERSION
from fastapi_base.api import docs, errors, health, openapi, well_known
from fastapi_base.api.middleware.access_log import AccessLogMiddleware
from fastapi_base.api.middleware.admission import AdmissionMiddleware
from fastapi_base.api.middleware.body import BodyLimits, BodyMiddleware
from fastapi_base.api.middleware.compression import CompressionMiddleware
from fastapi_base.api.middleware.deadline import DeadlineMiddleware
from fastapi_base.api.middleware.deprecation import DeprecationMiddleware
from fastapi_base.api.middleware.forwarded import ForwardedMiddleware
from fastapi_base.api.middleware.head import HeadMiddleware
from fastapi_base.api.middleware.media_type import MediaTypeMiddleware
from fastapi_base.api.middleware.path_prefix import PathPrefixMiddleware
from fastapi_base.api.middleware.rate_limit import RateLimitMiddleware, warn_of_unmatched
from fastapi_base.api.middleware.request_id import RequestIdMiddleware
from fastapi_base.api.middleware.security_headers import SecurityHeadersMiddleware
from fastapi_base.api.middleware.trusted_host import TrustedHostMiddleware
from fastapi_base.api.middleware.unhandled import UnhandledErrorMiddleware
from fastapi_base.api.observability import telemetry
from fastapi_base.api.observability.request_metrics import RequestMetrics
from fastapi_base.api.resources import OpenResources, open_resources
from fastapi_base.api.routing.dispatch import DispatchMiddleware, Table, planner
from fastapi_base.api.v1 import router as v1
from fastapi_base.core import emails
from fastapi_base.core.config import ApiSettings, Settings, load_settings
from fastapi_base.core.config.notices import log_notices
from fastapi_base.core.observability import tracing
from fastapi_base.core.observability.logging import configure_logging

# Request headers that routes and tracing read, allowed in cross-origin requests (Fetch standard,
# CORS). Browsers' tracing SDKs add theirs to every request.
REQUEST_HEADERS = (
    "Authorization",
    "Baggage",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Sentry-Trace",
    "Traceparent",
    "Tracestate",
    "X-CSRF-Token",
    "X-Request-ID",
)
# Response headers exposed to cross-origin pages, in addition to the safelisted ones.
REPLY_HEADERS = (
    "Content-Disposition",
    "Deprecation",
    "ETag",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "Sunset",
    "WWW-Authenticate",
    "X-Request-ID",
)


def create_app(
    settings: Settings | None = None, resources: OpenResources = open_resources
) -> FastAPI:
    """Create the application. Reads settings from the environment if none are given.

    No resources are opened before the lifespan starts. Raises SettingsError for settings that are
    invalid, or unsafe in production.
    """
    settings = settings or load_settings()
    configure_logging(settings.log)
    emails.allow_special_domains(settings.auth.email_allow_special_domains)
    log_notices(settings)
    _preload(settings)  # slice: oidc, passkeys
    # Before resources are opened, so that they are instrumented.
    observed = telemetry.start(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with resources(settings) as opened:
            app.state.resources = opened
            yield
        await telemetry.stop()

    table = Table(planner(enabled=settings.api.plans))
    app = FastAPI(
        title="fastapi-base",
        summary="A production base for HTTP services.",
        description=openapi.DESCRIPTION,
        version=VERSION,
        openapi_tags=openapi.TAGS,
        **openapi.about(settings),
        openapi_url=docs.OPENAPI if settings.api.docs else None,
        # FastAPI's documentation pages load scripts from another host.
        docs_url=None,
        redoc_url=None,
        # A redirect would use an absolute URL built from Host, which the client controls.
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=_middleware(settings, table),
        telemetry=observed,
        generate_unique_id_function=openapi.operation_id,
    )
    app.include_router(v1.router, prefix=v1.PREFIX)
    app.include_router(health.router)
    app.include_router(well_known.router)
    if settings.api.docs:
        app.include_router(docs.router)
    # begin slice: console
    if settings.console.path:
        _add_console(app, settings)
    # end slice: console
    errors.install(app)
    app.openapi = openapi.schema(app)  # type: ignore[method-assign]
    if settings.rate_limit.enabled:
        warn_of_unmatched(app, settings.rate_limit)
    table.fill(app)
    configure_mappers()
    return app


# begin slice: console
def _add_console(app: FastAPI, settings: Settings) -> None:
    """Serve the console. Nothing of it is imported while it is off."""
    from fastapi_base.api.console.app import install
    from fastapi_base.tasks.schedules import schedules

    install(app, settings, schedules(settings))


def _problem_pages(settings: Settings) -> list[Middleware]:
    """The middleware that shows errors of the console as pages, inside of compression."""
    if not settings.console.path:
        return []
    from fastapi_base.api.console.problems import ProblemPages

    return [Middleware(ProblemPages)]


# end slice: console
# begin slice: oidc, passkeys
def _preload(settings: Settings) -> None:
    """Import what is loaded on demand before workers are forked, so that they share its memory."""
    # begin slice: passkeys
    if settings.passkey.rp_id:
        import_module("fastapi_base.services.identity.passkeys")
    # end slice: passkeys
    # begin slice: oidc
    if settings.oidc.providers:
        import_module("fastapi_base.services.identity.oidc")
    # end slice: oidc


# end slice: oidc, passkeys
def _middleware(settings: Settings, table: Table) -> list[Middleware]:
    """The middleware, outermost first."""
    production = settings.app.environment == "production"
    prefix = settings.api.path_prefix
    # The path of pages with forms, if there are any.
    pages = ""
    pages = settings.console.path  # slice: console
    chain = [
        *([Middleware(PathPrefixMiddleware, prefix=prefix, pages=pages)] if prefix else []),
        Middleware(ForwardedMiddleware, trusted=settings.api.forwarded_allow_ips),
        *telemetry.transactions(settings),
        Middleware(
            RequestIdMiddleware, trace_id=tracing.trace_id if settings.tracing.endpoint else None
        ),
        Middleware(
            AccessLogMiddleware, observe=RequestMetrics() if settings.metrics.port else None
        ),
        Middleware(SecurityHeadersMiddleware, hsts=production, pages=pages),
        Middleware(DeprecationMiddleware),
    ]
    if settings.api.cors_origins:
        chain.append(
            Middleware(
                CORSMiddleware,
                allow_origins=settings.api.cors_origins,
                allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
                allow_headers=REQUEST_HEADERS,
                expose_headers=REPLY_HEADERS,
                max_age=600,
            )
        )
    if "*" not in settings.api.trusted_hosts:
        chain.append(Middleware(TrustedHostMiddleware, hosts=settings.api.trusted_hosts))
    # Outside of compression, so that HEAD returns the headers of GET.
    chain.append(Middleware(HeadMiddleware))
    if settings.api.compress_from_bytes:
        chain.append(
            Middleware(CompressionMiddleware, minimum_size=settings.api.compress_from_bytes)
        )
    chain += _problem_pages(settings)  # slice: console
    chain.append(Middleware(UnhandledErrorMiddleware, debug=settings.app.debug))
    # Limits for slow or frequent clients precede the shared limit on concurrent requests.
    if settings.rate_limit.enabled:
        chain.append(Middleware(RateLimitMiddleware, settings=settings.rate_limit))
    return [
        *chain,
        Middleware(MediaTypeMiddleware),
        Middleware(BodyMiddleware, limits=_body_limits(settings.api), table=table),
        Middleware(
            AdmissionMiddleware,
            at_once=settings.api.concurrency,
            patience=settings.api.queue_seconds,
        ),
        Middleware(
            DeadlineMiddleware,
            seconds=settings.api.deadline,
            stream_seconds=settings.api.stream_seconds,
        ),
        Middleware(DispatchMiddleware, table=table),
    ]


def _body_limits(settings: ApiSettings) -> BodyLimits:
    return BodyLimits(
        one=settings.max_body_bytes,
        total=settings.pending_body_bytes,
        seconds=settings.body_timeout,
        pause=settings.body_pause,
        of_address=settings.pending_bodies_per_address,
    )
