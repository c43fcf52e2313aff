"""The servers that other tests get: real, separate, and gone afterwards."""

import asyncio
import signal
from dataclasses import replace

import asyncpg
import psutil
import pytest
import redis

from ops.dev import places
from ops.dev.redis import Redis
from tests import servers
from tests.ops.dev.helpers import gone, run


@pytest.fixture(autouse=True)
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SERVERS", "embedded")


def test_postgres_has_the_version_of_the_image_and_a_superuser() -> None:
    async def ask(url: str) -> tuple[str, bool]:
        connection = await asyncpg.connect(url)
        try:
            version = await connection.fetchval("SHOW server_version_num")
            power = await connection.fetchval(
                "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
            )
            return version, power
        finally:
            await connection.close()

    with servers.postgres_server() as url:
        version, power = asyncio.run(ask(url))
        assert version.startswith("17")
        assert power
    with pytest.raises(OSError, match=r".+"):
        asyncio.run(ask(url))


def test_redis_has_the_version_of_the_image() -> None:
    with servers.redis_server() as url:
        client = redis.Redis.from_url(url)
        assert client.info("server")["redis_version"].startswith("8.")
        client.close()


def test_servers_are_independent() -> None:
    with servers.redis_server() as first, servers.redis_server() as second:
        assert first != second


def test_killed_test_run_leaves_no_server() -> None:
    code = """
import time
from tests import servers
with servers.postgres_server() as one, servers.redis_server() as two:
    print("serving", flush=True)
    time.sleep(1000)
"""
    with run("-c", code) as started:
        started.expect("serving")
        family: list[psutil.Process] = started.family()
        started.send(signal.SIGKILL)
        assert gone(family)


def test_unknown_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SERVERS", "docker")
    with pytest.raises(ValueError, match="must be containers or embedded, not 'docker'"):
        servers.mode()


def test_redis_is_ready_once_it_accepts_authenticated_writes() -> None:
    server = Redis(places.free_port(), password="sesame")
    assert not server.ready()
    with servers.embedded_redis(server) as url:
        assert server.ready()
        # With another password, without one, and while it refuses writes.
        assert not replace(server, password="other").ready()
        assert not replace(server, password=None).ready()
        with redis.Redis.from_url(url) as client:
            client.replicaof("127.0.0.1", "9")
            assert not server.ready()
            client.replicaof("NO", "ONE")
        assert server.ready()
