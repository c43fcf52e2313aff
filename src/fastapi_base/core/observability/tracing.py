"""Traces by OpenTelemetry. Off is the default, and then the SDK is not even imported.

A process starts tracing once; in its children the SDK goes on with threads of their own. FastAPI
makes the span of a request by itself when it is given the provider; SQL, Redis and tasks are beside
those who do them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import context, propagate, trace
from opentelemetry.trace import SpanKind

import fastapi_base
from fastapi_base.core.config import Settings
from fastapi_base.core.redaction import redact_text

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from redis.asyncio import Redis

_EXPORT_SECONDS = 5
_provider: "TracerProvider | None" = None


def start(settings: Settings, service: str) -> "TracerProvider | None":
    """Trace from now on, when the settings say so. `service` is what the spans are filed under."""
    global _provider
    if settings.tracing.endpoint is None:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

    class Scrubbed(SpanProcessor):
        """Queries of URLs may hold codes and tokens."""

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
    exporter = OTLPSpanExporter(settings.tracing.endpoint, timeout=_EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _provider = provider
    return provider


def stop() -> None:
    """Send what waits, for some seconds at most, and trace no more."""
    global _provider
    if _provider is not None:
        provider, _provider = _provider, None
        provider.shutdown()


def tracer() -> trace.Tracer | None:
    """What makes spans, where tracing is on."""
    return None if _provider is None else _provider.get_tracer(fastapi_base.__name__)


def trace_id() -> str | None:
    """The id of the trace that this is part of, as logs show it."""
    found = trace.get_current_span().get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid else None


def watch_redis(client: "Redis") -> None:
    """A span for each command; its arguments are left out."""
    if _provider is not None:
        from opentelemetry.instrumentation.redis import RedisInstrumentor

        RedisInstrumentor.instrument_client(client, tracer_provider=_provider)


@contextmanager
def sending(
    task: str, task_id: str, carried: Mapping[str, str] | None = None
) -> Iterator[dict[str, str]]:
    """The span of putting a task on its way; yields what must travel with it.

    With `carried`, which may be empty, it is on its way already, and the span is of its next part.
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
    """The span of a task, as a part of the trace of what sent it."""
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
