"""Error reports to Sentry, or what speaks its protocol. Off is the default: nothing is imported.

Of the SDK's integrations only those that report by themselves what nobody handles are on; requests
and tasks report explicitly. What is sent passes through the redaction of logs.
"""

from collections.abc import Mapping
from typing import Any

import structlog

import fastapi_base
from fastapi_base.core.config import Settings
from fastapi_base.core.redaction import redact

_FLUSH_SECONDS = 3
# Of a request: which one it was, and nothing that its caller said.
_REQUEST = ("method", "url")
_on = False


def start(settings: Settings) -> bool:
    """Report from now on, when the settings say so; once in each process, after any fork."""
    global _on
    if settings.sentry.dsn is None:
        return False
    import sentry_sdk
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration

    digest = settings.app.image_digest
    sentry_sdk.init(
        dsn=settings.sentry.dsn.get_secret_value(),
        release=f"fastapi-base@{fastapi_base.VERSION}" + (f"+{digest}" if digest else ""),
        environment=settings.app.environment,
        sample_rate=settings.sentry.sample,
        # Of those that it is told of; api/telemetry.py has the share.
        traces_sample_rate=1.0,
        default_integrations=False,
        integrations=[DedupeIntegration(), ExcepthookIntegration()],
        send_default_pii=False,
        include_local_variables=False,
        include_source_context=False,
        max_breadcrumbs=0,
        send_client_reports=False,
        # The form that every server of the protocol reads; the SDK compares with the text.
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
    """Send what waits, for some seconds at most, and report no more."""
    global _on
    if _on:
        import sentry_sdk

        _on = False
        sentry_sdk.flush(_FLUSH_SECONDS)
        sentry_sdk.get_client().close(_FLUSH_SECONDS)


def capture(error: BaseException, **tags: str) -> None:
    """Report an error, with what logs call it by."""
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
        # Ids and times of the protocol stay as they are.
        if isinstance(value, dict | list) or name in {"message", "transaction"}:
            event[name] = redact(value, depth=12)
    return event
