"""Serves the status page on loopback, only under this machine's own names."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ops.dev.places import LOOPBACK
from ops.dev.status.facts import Status, mails

_FOLDER = Path(__file__).parent
_FILES = {
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/refresh.js": ("refresh.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
_HTML = "text/html; charset=utf-8"
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_TEMPLATES = Environment(
    loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined
)


@contextmanager
def serving(port: int, look: Callable[[], Status], folder: Path | None) -> Iterator[None]:
    """Serve on this port until the end of the context. ``folder`` holds the mails."""
    # Mails hold tokens: a foreign page must not read them through a name that resolves to loopback.
    hosts = {f"{name}:{port}" for name in (LOOPBACK, "localhost")}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if self.headers.get("host") not in hosts:
                self._answer(HTTPStatus.MISDIRECTED_REQUEST, "text/plain", b"not this host\n")
            elif path == "/":
                self._show("page.html", status=look())
            elif path in _FILES:
                name, kind = _FILES[path]
                self._answer(HTTPStatus.OK, kind, (_FOLDER / name).read_bytes())
            elif (
                found := [one for one in mails(folder) if path == f"/mails/{one.file}"]
                if folder
                else []
            ):
                self._show("mail.html", mail=found[0])
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"there is no such page\n")

        def _show(self, template: str, **values: object) -> None:
            text = _TEMPLATES.get_template(template).render(**values)
            self._answer(HTTPStatus.OK, _HTML, text.encode())

        def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            for name, value in (
                ("Content-Type", kind),
                ("Content-Length", str(len(body))),
                ("Content-Security-Policy", _POLICY),
                ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "no-referrer"),
                ("Cache-Control", "no-store"),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Requests are not logged."""

    server = ThreadingHTTPServer((LOOPBACK, port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="status", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
