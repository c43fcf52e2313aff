"""Ambiguous requests are refused, unusual ones are served. One server with low limits."""

import json
import re

import pytest

from tests.integration import hostile
from tests.integration.hostile import (
    CLOSE,
    GET,
    HOST,
    POST,
    V1,
    WORDS,
    Server,
    bearer,
    post,
    status,
    statuses,
)

server = hostile.server


@pytest.mark.parametrize(
    ("sent", "refused", "because"),
    [
        (GET, 400, "Host is missing"),
        (f"{GET}host: a\r\nhost: a\r\n", 400, "occur only once"),
        (f"{GET}host:\r\n", 400, "a name or an IP address"),
        (f"{GET}host: a b\r\n", 400, "a name or an IP address"),
        (f"{GET}host: user@a\r\n", 400, "a name or an IP address"),
        (f"{GET}host: a/b\r\n", 400, "a name or an IP address"),
        (f"{GET}host: a, b\r\n", 400, "a name or an IP address"),
        (f"{GET}host: a:b\r\n", 400, "a name or an IP address"),
        (f"{GET}host: [::1\r\n", 400, "a name or an IP address"),
        (f"{GET}host: [1::2::3]\r\n", 400, "a name or an IP address"),
        (f"GET /nowhere HTTP/1.0\r\n{HOST}{HOST}", 400, "occur only once"),
        (
            f"{POST}{HOST}content-length: 1\r\ntransfer-encoding: chunked\r\n",
            400,
            "HTTP request is invalid",
        ),
        (
            f"{POST}{HOST}transfer-encoding: chunked\r\ncontent-length: 1\r\n",
            400,
            "HTTP request is invalid",
        ),
        (f"{POST}{HOST}content-length: 1\r\ncontent-length: 2\r\n", 400, "HTTP request is invalid"),
        (f"{POST}{HOST}content-length: 1, 2\r\n", 400, "HTTP request is invalid"),
        (f"{POST}{HOST}content-length: +1\r\n", 400, "HTTP request is invalid"),
        (f"{POST}{HOST}transfer-encoding: xchunked\r\n", 501, "Only the transfer coding chunked"),
        (
            f"{POST}{HOST}transfer-encoding: gzip, chunked\r\n",
            501,
            "Only the transfer coding chunked",
        ),
        (f"{POST}{HOST}transfer-encoding: chunked, chunked\r\n", 400, "HTTP request is invalid"),
        (
            POST.replace("1.1", "1.0") + "transfer-encoding: chunked\r\n",
            400,
            "not allowed in HTTP/1.0",
        ),
        (f"{GET}{HOST}x: a\r\n b\r\n", 400, "HTTP request is invalid"),
        (f"{GET}{HOST}x: a\rb\r\n", 400, "HTTP request is invalid"),
        (f"{GET}host : test\r\n", 400, "HTTP request is invalid"),
        (f"{GET}{HOST}x: a\0b\r\n", 400, "HTTP request is invalid"),
        (f"GET /health/live HTTP/2.0\r\n{HOST}", 505, "send HTTP/1.1"),
        ("GET /health/live\r\n", 505, "send HTTP/1.1"),
        (f"CONNECT test:80 HTTP/1.1\r\n{HOST}", 501, "CONNECT"),
        (f"GET ftp://test/ HTTP/1.1\r\n{HOST}", 400, "The target"),
        (f"GET http://a@test/ HTTP/1.1\r\n{HOST}", 400, "The target"),
        (f"GET /api/v1/users/me#/health/live HTTP/1.1\r\n{HOST}", 400, "no fragment"),
        ("GET /health/live HTTP/1.1\r\nhost: test:65536\r\n", 400, "a name or an IP address"),
        (f"GET http:///health/live HTTP/1.1\r\n{HOST}", 400, "The target"),
        (f"GET health/live HTTP/1.1\r\n{HOST}", 400, "HTTP request is invalid"),
    ],
)
def test_ambiguous_requests_are_refused(
    server: Server, sent: str, refused: int, because: str
) -> None:
    reply = server.exchange(f"{sent}\r\n")
    assert status(reply) == refused, reply
    assert "\r\nconnection: close\r\n" in reply
    problem = json.loads(reply.partition("\r\n\r\n")[2])
    assert problem["status"] == refused
    assert because in problem["detail"]


@pytest.mark.parametrize(
    ("sent", "wanted"),
    [
        ("GET /health/live HTTP/1.0\r\n", 200),
        (f"{GET}host: a_b.example:8000\r\n{CLOSE}", 200),
        (f"{GET}host: [2001:db8::1]:8000\r\n{CLOSE}", 200),
        (f"GET http://test/health/live HTTP/1.1\r\nhost: other\r\n{CLOSE}", 200),
        (f"OPTIONS * HTTP/1.1\r\n{HOST}{CLOSE}", 404),
        # The host of the target applies, not the header (RFC 9112, 3.2.2).
        (f"GET http://test{V1}/users/me HTTP/1.1\r\nhost: other\r\n{CLOSE}", 401),
        (f"GET http://other{V1}/users/me HTTP/1.1\r\n{HOST}{CLOSE}", 421),
    ],
)
def test_unusual_requests_are_served(server: Server, sent: str, wanted: int) -> None:
    assert status(server.exchange(f"{sent}\r\n")) == wanted


@pytest.mark.parametrize(
    ("bad", "refused"),
    [
        ("rubbish\r\n\r\n", "400"),
        (f"{GET}\r\n", "400"),
        (f"{POST}{HOST}transfer-encoding: gzip\r\n\r\n", "501"),
    ],
)
def test_refused_request_does_not_affect_earlier_replies(
    server: Server, bad: str, refused: str
) -> None:
    good = f"{GET}{HOST}\r\n"
    with server.peer() as peer:
        head = peer.send(good).head()
        after = head + peer.send(bad).rest()
    assert statuses(after) == ["200", refused]
    assert after.count('{"status":"ok"}') == 1
    # While a reply is due, the server closes the connection after it and sends nothing more.
    together = server.exchange(good + bad)
    assert statuses(together) == ["200"]
    assert together.count('{"status":"ok"}') == 1


def test_pipelined_requests_are_bounded(server: Server) -> None:
    # Clients resend requests that the server did not read.
    replies = server.exchange(f"{GET}{HOST}\r\n" * 500)
    assert set(statuses(replies)) == {"200"}
    assert 1 < len(statuses(replies)) < 60


def test_upgrade_header_loses_no_body(server: Server) -> None:
    _, mine = server.account()
    offer = ("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMA")
    made = post(WORDS, bearer(mine), *offer, body='{"text": "T"}')
    get = f"{GET}{HOST}{CLOSE}\r\n"
    assert statuses(server.exchange(made + get)) == ["202", "200"]


def test_trailers_are_not_headers(server: Server) -> None:
    chunked = f"POST {V1}{WORDS} HTTP/1.1\r\n{HOST}{CLOSE}transfer-encoding: chunked\r\n"
    _, mine = server.account()
    body = "content-type: application/json\r\n\r\nd\r\n" + '{"text": "T"}' + "\r\n0\r\n"
    good = f"{chunked}{bearer(mine)}\r\n{body}\r\n"
    assert status(server.exchange(good)) == 202
    keyed = f"{chunked}{bearer(mine)}\r\n{body}idempotency-key: a\r\n\r\n"
    replies = [server.exchange(keyed) for _ in range(2)]
    assert [status(reply) for reply in replies] == [202, 202]
    assert "idempotency-replayed" not in replies[1]


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, ::ffff:127.0.0.1", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:DB8::1]:4711", "2001:db8::1"),
        ('for="[2001:db8::1]";proto=https', "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("203.0.113.9, unknown", "127.0.0.1"),
        ("198.51.100.1, 203.0.113.9", "203.0.113.9"),
    ],
)
def test_addresses_have_one_form(server: Server, forwarded: str, client: str) -> None:
    request_id = "id-" + re.sub(r"[^a-z0-9]", "-", forwarded.lower()).ljust(8, "-")
    with server.client(forwarded) as asked:
        assert asked.get("/nowhere", headers={"x-request-id": request_id}).status_code == 404
    [line] = server.logged(request_id=request_id, event="request")
    assert line["client"] == client
