"""Tracing with OpenTelemetry. Off by default: the SDK is not even imported.

Tracing is started once per process; after a fork, the SDK continues in the children with its own
threads. FastAPI creates the request span when it gets the tracer provider. Spans for SQL, Redis and
tasks are created next to the code that runs them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from opentelemetry import context, propagate, trace
from opentelemetry.trace import SpanKind

import fastapi_base
from fastapi_base.core.config import Settings
from fastapi_base.core.observability.redaction import redact_text
from fastapi_base.core.security.tls import authorities

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from redis.asyncio import Redis

_EXPORT_SECONDS = 5
_provider: "TracerProvider | None" = None


def start(settings: Settings, service: str) -> "TracerProvider | None":
    """Start tracing if an endpoint is set. `service` is the service name of the spans."""
    global _provider
    if settings.tracing.endpoint is None:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    class Scrubbed(SpanProcessor):
        """Redacts query strings of URLs, which may contain codes and tokens."""

        def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
            query = (span.attributes or {}).get("url.query")
            if query:
                span.set_attribute("url.query", redact_text(str(query)))

        def on_end(self, span: ReadableSpan) -> None:
            pass

    provider = TracerProvider(
        sampler=ParentBased(TraceIdRatioBased(settings.tracing.sample)),
        resource=Resource.create(
            {
                "service.name": service,
                "service.version": fastapi_base.VERSION,
                "deployment.environment.name": settings.app.environment,
                **({"container.image.id": id_} if (id_ := settings.app.image_digest) else {}),
            }
        ),
    )
    provider.add_span_processor(Scrubbed())
    file = authorities(settings.tls)
    exporter = OTLPSpanExporter(
        settings.tracing.endpoint,
        file,
        timeout=_EXPORT_SECONDS,
        session=_session() if file else None,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _provider = provider
    return provider


def _session() -> Any:
    """A requests session that keeps the CA bundle of the exporter.

    By default, requests lets REQUESTS_CA_BUNDLE override it (psf/requests#3829).
    """
    session = import_module("requests").Session()
    merge = session.merge_environment_settings

    def merged(url: str, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        chosen = session.verify if verify is None else verify
        return merge(url, proxies, stream, chosen, cert)

    session.merge_environment_settings = merged
    return session


def stop() -> None:
    """Export pending spans, for a few seconds at most, and stop tracing."""
    global _provider
    if _provider is not None:
        provider, _provider = _provider, None
        provider.shutdown()


def tracer() -> trace.Tracer | None:
    """The tracer, or None if tracing is off."""
    return None if _provider is None else _provider.get_tracer(fastapi_base.__name__)


def trace_id() -> str | None:
    """The id of the current trace as logged, or None."""
    found = trace.get_current_span().get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid else None


def watch_redis(client: "Redis") -> None:
    """Create a span for each command of this client, without its arguments."""
    if _provider is not None:
        from opentelemetry.instrumentation.redis import RedisInstrumentor

        RedisInstrumentor.instrument_client(client, tracer_provider=_provider)


@contextmanager
def sending(
    task: str, task_id: str, carried: Mapping[str, str] | None = None
) -> Iterator[dict[str, str]]:
    """The producer span of a task; yields the headers to propagate with it.

    `carried` is None when the task is created. Otherwise it holds the headers that were stored with
    the task, and the span continues their trace; if it is empty, there is no trace to continue.
    """
    makes = tracer()
    if makes is None or carried == {}:
        yield dict(carried or {})
        return
    verb, parent = ("send", None) if carried is None else ("publish", propagate.extract(carried))
    names = {"messaging.system": "celery", "messaging.message.id": task_id}
    onward: dict[str, str] = {}
    with makes.start_as_current_span(
        f"{verb} {task}", parent, kind=SpanKind.PRODUCER, attributes=names
    ):
        propagate.inject(onward)
        yield onward


@contextmanager
def working(task: str, task_id: str, carried: Mapping[str, str]) -> Iterator[None]:
    """The consumer span of a task, as part of the sender's trace."""
    makes = tracer()
    if makes is None:
        yield
        return
    names = {"messaging.system": "celery", "messaging.message.id": task_id}
    parent = propagate.extract(carried)
    with makes.start_as_current_span(
        f"run {task}", parent, kind=SpanKind.CONSUMER, attributes=names
    ):
        yield
