"""Advisories are read from PyPI's JSON API; an index without them is not a clean result."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ops.ci.scan import advisories
from ops.ci.scan.findings import UnavailableError


@contextmanager
def index(replies: dict[str, Any]) -> Iterator[str]:
    """An index on loopback that serves these paths, and 404 for all others."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            reply = replies.get(self.path)
            body = json.dumps(reply).encode()
            self.send_response(404 if reply is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_listed_advisories_are_found_and_withdrawn_ones_are_not() -> None:
    listed = [
        {"id": "PYSEC-1", "summary": "escapes", "fixed_in": ["1.1"], "withdrawn": None},
        {"id": "PYSEC-2", "fixed_in": [], "withdrawn": "2026-01-01T00:00:00Z"},
    ]
    replies = {
        "/pypi/hello/1.0/json": {"vulnerabilities": listed},
        "/pypi/world/2.0/json": {"vulnerabilities": []},
    }
    with index(replies) as base:
        found = list(advisories.scan(base, [("hello", "1.0"), ("world", "2.0")]))
    assert [(one.name, one.text) for one in found] == [
        ("advisories/hello/PYSEC-1", "1.0 is affected, fixed in 1.1: escapes")
    ]


def test_missing_index_names_the_setting() -> None:
    with pytest.raises(UnavailableError, match="SCAN_INDEX"):
        list(advisories.scan("", [("hello", "1.0")]))


@pytest.mark.parametrize("replies", [{}, {"/pypi/hello/1.0/json": {"info": {}}}])
def test_index_without_advisories_is_not_a_clean_result(replies: dict[str, Any]) -> None:
    with index(replies) as base, pytest.raises(UnavailableError, match=r"hello 1\.0"):
        list(advisories.scan(base, [("hello", "1.0")]))
