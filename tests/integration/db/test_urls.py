"""PostgreSQL URLs as providers issue them, against a real server."""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from fastapi_base.core.config.database import DatabaseSettings
from fastapi_base.core.errors import Unavailable
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from ops.dev import guard, places, postgres, waiting
from ops.dev.postgres import Postgres

pytestmark = pytest.mark.anyio


async def asked(url: str, query: str) -> str:
    """The result of a query on the database behind the URL."""
    settings = DatabaseSettings.model_validate({"url": url, "connect_timeout": 3})
    engine = create_engine(settings, "ours")
    try:
        async with EngineDatabase.of(settings, engine).read() as connection:
            return str(await connection.scalar(text(query)))
    finally:
        await engine.dispose()


async def test_heroku_scheme(database_url: str) -> None:
    url = database_url.replace("postgresql+asyncpg:", "postgres:")
    assert await asked(url, "SELECT current_setting('application_name')") == "ours"


async def test_connection_parameters(database_url: str) -> None:
    url = f"{database_url}?application_name=theirs&options=-c%20search_path%3Delsewhere"
    assert await asked(url, "SELECT current_setting('application_name')") == "theirs"
    assert await asked(url, "SHOW search_path") == "elsewhere"
    # The service's own limits still apply.
    assert await asked(f"{database_url}?options=-c%20lock_timeout%3D0", "SHOW lock_timeout") == "5s"


async def test_next_host_is_tried(database_url: str) -> None:
    before, at, after = database_url.partition("@")
    several = f"{before}{at}127.0.0.1:{places.free_port()},{after}"
    wanted = f"{several}?target_session_attrs=read-write"
    assert await asked(wanted, "SELECT pg_is_in_recovery()") == "False"
    place = after.partition("/")[0]
    parameters = f"?host={place}&connect_timeout=7&prepared_statements=true"
    assert await asked(f"{before}@/{after.partition('/')[2]}{parameters}", "SELECT 1") == "1"
    with pytest.raises(Unavailable):
        await asked(f"{several}?target_session_attrs=standby", "SELECT 1")


@pytest.mark.parametrize("asks", ["pgbouncer=true", "prepared_statements=false"])
async def test_url_disables_named_statements(database_url: str, asks: str) -> None:
    query = "SELECT count(*) FROM pg_prepared_statements WHERE name <> ''"
    assert await asked(f"{database_url}?{asks}", query) == "0"


@pytest.fixture
def on_a_socket() -> Iterator[tuple[str, int]]:
    """The directory of a server's socket, and its port."""
    # Socket paths are limited to about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="sockets-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        folder.chmod(0o777)
        options = (*postgres.THROWAWAY, f"-cunix_socket_directories={folder}")
        server = Postgres(folder / "data", places.free_port(), "a@b/c", options)
        server.prepare(postgres.throwaway_run)
        log = folder / "log"
        with guard.process(server.command(), log, signal.SIGINT) as process:
            waiting.until_serves(process, log, server.ready, "the server", 60)
            yield place, server.port


async def test_unix_sockets(on_a_socket: tuple[str, int]) -> None:
    folder, port = on_a_socket
    login, ask = "postgresql://postgres:a%40b%2Fc@", "SELECT inet_server_addr() IS NULL"
    encoded = folder.replace("/", "%2F")
    for url in (
        f"{login}/postgres?host={folder}&port={port}",
        f"{login}{encoded}/postgres?port={port}&sslmode=prefer",
        f"{login}{encoded},127.0.0.1/postgres?port={port}",
    ):
        assert await asked(url, ask) == "True"
    with pytest.raises(Unavailable):
        await asked(f"{login}/postgres?host={folder}", ask)
