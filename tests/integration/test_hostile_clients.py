"""Clients with many connections, or that read nothing, do not affect others."""

import asyncio
from contextlib import ExitStack

import psutil

from fastapi_base.serving.connections import MOST_REFUSED
from tests.integration import hostile
from tests.integration.hostile import GET, HOST, V1, Server, status
from tests.integration.waiting import until

server = hostile.server


def test_connections_of_one_peer_are_bounded(server: Server) -> None:
    live = f"{GET}{HOST}\r\n"
    with ExitStack() as stack:
        peers = [stack.enter_context(server.peer(source="127.0.0.2")) for _ in range(20)]
        for peer in peers:
            assert "200 OK" in peer.send(live).head()
        with server.peer(source="127.0.0.2") as one_more:
            assert status(one_more.rest()) == 429
        # Others are served, and proxies have no such limit.
        for source in ("127.0.0.3", *["127.0.0.1"] * 25):
            other = stack.enter_context(server.peer(source=source))
            assert "200 OK" in other.send(live).head()

    async def room() -> bool | None:
        with server.peer(source="127.0.0.2") as again:
            return status(again.send(live).head()) == 200 or None

    asyncio.run(until(room, "a connection is accepted after the others closed"))


def test_refused_connections_are_closed_although_their_peers_stay(server: Server) -> None:
    live = f"{GET}{HOST}\r\n"
    with ExitStack() as stack:
        innocent = stack.enter_context(server.peer(source="127.0.0.3"))
        assert "200 OK" in innocent.send(live).head()
        for _ in range(20):
            assert (
                "200 OK" in stack.enter_context(server.peer(source="127.0.0.4")).send(live).head()
            )
        for _ in range(150):
            refused = stack.enter_context(server.peer(source="127.0.0.4"))
            assert status(refused.send(live).rest()) == 429
        open_ = [
            one
            for one in psutil.net_connections("tcp")
            if one.pid and one.raddr and one.laddr and one.laddr[1] == server.port
            if one.raddr[0].endswith("127.0.0.4")
        ]
        assert len(open_) <= 20 + MOST_REFUSED
        assert "200 OK" in innocent.send(live).head()


def test_unread_replies_are_aborted(server: Server) -> None:
    one = f"GET /openapi.json HTTP/1.1\r\n{HOST}\r\n"
    # During a reply, and after it was written to the kernel's buffer.
    for count in (30, 1):
        with server.peer(buffer=4096) as peer:
            peer.send(one * count).head()
            server.lets_go_of(peer)


def test_event_streams_are_limited_per_account(server: Server) -> None:
    _, mine = server.account()
    with server.client(**mine) as client:
        job = client.post(f"{V1}/jobs/word-count", json={"text": "one fish"}).json()["id"]
        path = f"{V1}/jobs/{job}/events"
        with client.stream("GET", path) as one, client.stream("GET", path) as two:
            assert (one.status_code, two.status_code) == (200, 200)
            refused = client.get(path)
            assert refused.status_code == 429
            assert refused.json()["type"] == "urn:fastapi-base:too-many-at-once"
            assert refused.headers["retry-after"]
        _, other = server.account()
        with client.stream("GET", path, headers=other) as theirs:
            assert theirs.status_code == 404

    async def room() -> bool | None:
        with server.client(**mine) as client, client.stream("GET", path) as again:
            return again.status_code == 200 or None

    asyncio.run(until(room, "a stream is accepted"))
