"""A registry with its own referrers support (OCI distribution specification 1.1).

Debian's docker-registry lacks it, and no available package index has a registry with it. This one
stands in where the responses differ: `OCI-Subject` on a push, and the referrers API. It keeps
everything in memory, and refuses what a registry would.
"""

import json
import re
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_INDEX = "application/vnd.oci.image.index.v1+json"
_ROUTE = re.compile(r"/v2/(?P<name>[a-z0-9/._-]+?)/(?P<kind>blobs|manifests|referrers)/(?P<id>.+)")


class Store:
    """The pushed content; ``subjects`` maps a digest to the descriptors that refer to it."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.subjects: dict[str, list[dict[str, Any]]] = {}

    def put_manifest(self, reference: str, media_type: str, body: bytes) -> tuple[str, str]:
        """Store a manifest; returns its digest and that of its subject, or an empty string."""
        digest = _digest(body)
        self.manifests[reference] = self.manifests[digest] = (media_type, body)
        document = json.loads(body)
        subject = str(document.get("subject", {}).get("digest", ""))
        known = self.subjects.setdefault(subject, [])
        if subject and all(one["digest"] != digest for one in known):
            known.append(
                {
                    "mediaType": media_type,
                    "digest": digest,
                    "size": len(body),
                    # The artifact's type, else that of the configuration (specification, 4.5.3).
                    "artifactType": document.get("artifactType", document["config"]["mediaType"]),
                }
            )
        return digest, subject


class _Handler(BaseHTTPRequestHandler):
    store: Store
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def reply(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_GET(self) -> None:
        route = _ROUTE.fullmatch(self.path)
        if not route:
            return self.reply(404)
        kind, identity = route["kind"], route["id"]
        if kind == "blobs" and identity in self.store.blobs:
            return self.reply(200, self.store.blobs[identity])
        if kind == "manifests" and identity in self.store.manifests:
            media_type, content = self.store.manifests[identity]
            return self.reply(200, content, {"Content-Type": media_type})
        if kind == "referrers":
            found = self.store.subjects.get(identity, [])
            index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": found}
            return self.reply(200, json.dumps(index).encode(), {"Content-Type": _INDEX})
        return self.reply(404)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self.body()
        self.reply(202, b"", {"Location": f"http://{self.headers['Host']}{self.path}1"})

    def do_PUT(self) -> None:
        path, _, query = self.path.partition("?")
        route, content = _ROUTE.fullmatch(path), self.body()
        if not route:
            return self.reply(404)
        if route["kind"] == "manifests":
            media_type = self.headers["Content-Type"]
            digest, subject = self.store.put_manifest(route["id"], media_type, content)
            told = {"Docker-Content-Digest": digest}
            if subject:
                told["OCI-Subject"] = subject
            return self.reply(201, b"", told)
        (wanted,) = urllib.parse.parse_qs(query)["digest"]
        if wanted != _digest(content):
            return self.reply(400, b"DIGEST_INVALID")
        self.store.blobs[wanted] = content
        return self.reply(201)


@contextmanager
def registry() -> Iterator[tuple[str, Store]]:
    """Yields ``127.0.0.1:PORT`` and the registry's content."""
    content = Store()

    class Handler(_Handler):
        store = content

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", content
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"
