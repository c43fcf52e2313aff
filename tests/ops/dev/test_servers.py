"""The servers that other tests get: real ones, each its own, gone afterwards."""

import asyncio
import signal

import asyncpg
import psutil
import pytest
import redis

from tests import servers
from tests.ops.dev.helpers import gone, run


@pytest.fixture(autouse=True)
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SERVERS", "embedded")


def test_postgres_is_the_version_of_the_image_and_for_a_superuser() -> None:
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


def test_redis_is_the_version_of_the_image() -> None:
    with servers.redis_server() as url:
        client = redis.Redis.from_url(url)
        assert client.info("server")["redis_version"].startswith("8.")
        client.close()


def test_two_servers_are_two() -> None:
    with servers.redis_server() as first, servers.redis_server() as second:
        assert first != second


def test_a_killed_test_run_leaves_no_server() -> None:
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


def test_another_mode_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_SERVERS", "docker")
    with pytest.raises(ValueError, match="must be containers or embedded, not 'docker'"):
        servers.mode()
