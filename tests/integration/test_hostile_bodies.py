"""Slow, withheld and oversized bodies do not affect others. One server with low limits."""

import json
import select
import time
from contextlib import ExitStack

import pytest

from tests.integration import hostile
from tests.integration.hostile import HOST, V1, WORDS, Server, bearer, post, status

server = hostile.server


def test_partial_bodies_do_not_affect_others(server: Server) -> None:
    _, mine = server.account()
    form = "content-type: application/x-www-form-urlencoded"
    half = [
        post(WORDS, bearer(mine), "x-forwarded-for: 10.66.0.1", body="{", length=100),
        post("/auth/login", form, "x-forwarded-for: 10.66.0.1", body="u", length=100),
    ]
    with ExitStack() as stack:
        peers = [stack.enter_context(server.peer()).send(half[n % 2]) for n in range(60)]
        # All but the last few of one address were evicted.
        assert {status(peer.rest()) for peer in peers[:-8]} == {429}
        with server.client(**mine) as client:
            for _ in range(10):
                assert client.get(f"{V1}/users/me").status_code == 200
                assert client.post(f"{V1}{WORDS}", json={"text": "T"}).status_code == 202
            assert client.get("/health/ready").status_code == 200
        # Complete bodies are served meanwhile, even from the same address.
        with server.client("10.66.0.1", **mine) as client:
            assert client.post(f"{V1}{WORDS}", json={"text": "T"}).status_code == 202


@pytest.mark.parametrize(
    ("request_", "refused"),
    [
        (post(WORDS, "expect: 100-continue", length=100), 401),
        (post(WORDS, "expect: 100-continue", "authorization: Bearer x.y.z", length=100), 401),
        (post(WORDS, "expect: 100-continue", "authorization: Bearer fb_x", length=100), 401),
        (post("/nowhere", "expect: 100-continue", length=100), 404),
        (post("/users/me", "expect: 100-continue", length=100), 405),
        (post("/auth/login", "expect: 100-continue", length=2_000_000), 413),
        (post("/auth/login", "expect: 100-continue", "x-a: b", length=10**18), 413),
        (post("/auth/login", "expect: 100-continue", length=f"{2_000_000:040}"), 413),
        (post("/auth/login", "expect: 100-continue \t", length="2000000 \t "), 413),
        (post(WORDS, length=f"{100:040}"), 401),
        (post(WORDS, length="100\t"), 401),
        (f"GET /health/live HTTP/1.1\r\n{HOST}content-length: 100\r\n\r\n", 200),
        (f"POST /health/live HTTP/1.1\r\n{HOST}transfer-encoding: chunked\r\n\r\n", 405),
        (f"GET /nowhere HTTP/1.1\r\nhost: other\r\n{HOST[:0]}content-length: 9\r\n\r\n", 421),
    ],
)
def test_no_body_is_read_where_the_reply_does_not_need_it(
    server: Server, request_: str, refused: int
) -> None:
    reply = server.exchange(request_)
    assert status(reply) == refused
    assert "\r\nconnection: close\r\n" in reply


def test_no_body_is_read_beyond_the_rate_limit(server: Server) -> None:
    fields = ("expect: 100-continue", "x-forwarded-for: 10.3.3.3")
    path = "/auth/password-reset"
    sent = post(path, *fields, "connection: close", body='{"email": "nobody@example.org"}')
    assert "HTTP/1.1 100 Continue\r\n" in server.exchange(sent)
    reply = server.exchange(post(path, *fields, length=100))
    assert status(reply) == 429
    assert "\r\nconnection: close\r\n" in reply


@pytest.mark.parametrize("length", ["4000000", f"{4_000_000:040}", "4000000 ", "4000000\t"])
def test_reply_to_a_large_refused_body_is_delivered(server: Server, length: str) -> None:
    sent = post("/auth/login", body="a" * 4_000_000, length=length)
    reply = server.exchange(sent)
    assert status(reply) == 413
    assert (
        json.loads(reply.partition("\r\n\r\n")[2])["type"] == "urn:fastapi-base:content-too-large"
    )


def test_late_and_stalled_bodies_are_aborted(server: Server) -> None:
    began = time.monotonic()
    still = server.exchange(post("/auth/login", body="u", length=100))
    # The pause ended it, not the time limit of the whole body.
    assert (status(still), time.monotonic() - began < 10) == (408, True)
    assert "urn:fastapi-base:request-timeout" in still
    chunked = f"POST {V1}/auth/login HTTP/1.1\r\n{HOST}transfer-encoding: chunked\r\n\r\n"
    began = time.monotonic()
    with server.peer() as peer:
        peer.send(chunked)
        # Slowly, but never with too long a pause.
        while not select.select([peer.socket], [], [], 0.3)[0]:
            peer.send("1\r\na\r\n")
            assert time.monotonic() - began < 60
        assert status(peer.rest()) == 408


def test_client_disconnect_is_not_an_error(server: Server) -> None:
    gone = {"event": "client disconnected", "path": f"{V1}/auth/login"}
    before = len(server.events(**gone))
    with server.peer() as peer:
        peer.send(post("/auth/login", body="u", length=100))
    server.logged(before + 1, **gone)
