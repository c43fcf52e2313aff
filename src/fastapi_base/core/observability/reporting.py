"""Error reports to Sentry or a compatible server. Off by default: the SDK is not even imported.

Only those SDK integrations are enabled that report unhandled errors on their own; requests and
tasks report explicitly. Reports pass through the same redaction as logs.
"""

from collections.abc import Mapping
from typing import Any

import structlog

import fastapi_base
from fastapi_base.core.config import Settings
from fastapi_base.core.observability.redaction import redact
from fastapi_base.core.security.tls import authorities

_FLUSH_SECONDS = 3
# Fields of a request to keep: they identify it without the data that the client sent.
_REQUEST = ("method", "url")
_on = False


def start(settings: Settings) -> bool:
    """Start reporting if a DSN is set; returns whether it is. Call it once per process.

    Call it after any fork.
    """
    global _on
    if settings.sentry.dsn is None:
        return False
    import sentry_sdk
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration

    digest = settings.app.image_digest
    sentry_sdk.init(
        dsn=settings.sentry.dsn.get_secret_value(),
        ca_certs=authorities(settings.tls),
        release=f"fastapi-base@{fastapi_base.VERSION}" + (f"+{digest}" if digest else ""),
        environment=settings.app.environment,
        sample_rate=settings.sentry.sample,
        # Of the transactions passed to the SDK; api/observability/telemetry.py samples them.
        traces_sample_rate=1.0,
        default_integrations=False,
        integrations=[DedupeIntegration(), ExcepthookIntegration()],
        send_default_pii=False,
        include_local_variables=False,
        include_source_context=False,
        max_breadcrumbs=0,
        send_client_reports=False,
        # The encoding that every compatible server accepts; the SDK compares these values as given.
        _experiments={
            "transport_compression_algo": "gzip",  # type: ignore[typeddict-item]
            "transport_compression_level": 6,
        },
        before_send=_scrubbed,
        before_send_transaction=_scrubbed,
    )
    _on = True
    return True


def stop() -> None:
    """Send pending reports, for a few seconds at most, and stop reporting."""
    global _on
    if _on:
        import sentry_sdk

        _on = False
        sentry_sdk.flush(_FLUSH_SECONDS)
        sentry_sdk.get_client().close(_FLUSH_SECONDS)


def capture(error: BaseException, **tags: str) -> None:
    """Report an error, tagged with the identifiers that logs use."""
    if _on:
        import sentry_sdk

        known = structlog.contextvars.get_contextvars()
        names = ("request_id", "trace_id", "task", "task_id")
        with sentry_sdk.new_scope() as scope:
            scope.set_tags({**{name: known[name] for name in names if name in known}, **tags})
            scope.capture_exception(error)


def _scrubbed(event: Any, _: Mapping[str, Any]) -> Any:
    for part in ("user", "breadcrumbs", "extra", "server_name"):
        event.pop(part, None)
    if request := event.get("request"):
        kept = {name: request[name] for name in _REQUEST if name in request}
        event["request"] = {name: str(value).partition("?")[0] for name, value in kept.items()}
    for name, value in list(event.items()):
        # Ids and timestamps of the protocol stay unchanged.
        if isinstance(value, dict | list) or name in {"message", "transaction"}:
            event[name] = redact(value, depth=12)
    return event
