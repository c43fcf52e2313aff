"""Receivers on loopback for traces (OTLP over HTTP) and error reports (Sentry envelopes)."""

import gzip
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """A received span."""

    service: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    start: int
    end: int
    attributes: dict[str, Any]


@dataclass
class Received:
    """The received data, and the endpoints that receive it."""

    port: int = 0
    scheme: str = "http"
    spans: list[Span] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    @property
    def traces_url(self) -> str:
        """The endpoint of traces."""
        return f"{self.scheme}://127.0.0.1:{self.port}/v1/traces"

    @property
    def dsn(self) -> str:
        """The DSN for error reports."""
        return f"{self.scheme}://public@127.0.0.1:{self.port}/1"


@contextmanager
def receiving(
    *, keep: bool = True, pause: float = 0, tls: ssl.SSLContext | None = None
) -> Iterator[Received]:
    """Receive on a free port while the block runs.

    Without `keep` nothing is parsed. `pause` is how many seconds each report takes. With `tls` it
    accepts only HTTPS.
    """
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path.endswith("/envelope/"):
                time.sleep(pause)
            if keep:
                self.take(body)
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def take(self, body: bytes) -> None:
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            received.raw.append(body)
            if self.path == "/v1/traces":
                received.spans.extend(_spans(body))
            elif self.path.endswith("/envelope/"):
                received.events.extend(_items(body))

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.port = server.server_address[1]
    if tls is not None:
        received.scheme = "https"
        # In the connection's thread: an error must not stop the server.
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()


def _spans(body: bytes) -> Iterator[Span]:
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    for group in request.resource_spans:
        resource = {one.key: one.value.string_value for one in group.resource.attributes}
        for scope in group.scope_spans:
            for span in scope.spans:
                yield Span(
                    service=resource["service.name"],
                    name=span.name,
                    kind=span.kind,
                    trace=span.trace_id.hex(),
                    id=span.span_id.hex(),
                    parent=span.parent_span_id.hex(),
                    start=span.start_time_unix_nano,
                    end=span.end_time_unix_nano,
                    attributes={
                        one.key: one.value.string_value or one.value.int_value
                        for one in span.attributes
                    },
                )


def _items(envelope: bytes) -> Iterator[dict[str, Any]]:
    """The events and transactions of an envelope: a header line, then a header and a payload for
    each.
    """
    position = envelope.index(b"\n") + 1
    while position < len(envelope):
        end = envelope.index(b"\n", position)
        header = json.loads(envelope[position:end])
        length = header.get("length")
        stop = end + 1 + length if length is not None else envelope.find(b"\n", end + 1)
        payload = envelope[end + 1 : stop if stop >= 0 else len(envelope)]
        position = (stop if stop >= 0 else len(envelope)) + 1
        if header["type"] in {"event", "transaction"}:
            yield {"item": header["type"], **json.loads(payload)}
