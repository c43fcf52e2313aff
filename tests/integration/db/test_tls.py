"""Connections with TLS, to a server whose certificate the test made."""

import ipaddress
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import text

from fastapi_base.core.config import DatabaseSettings
from fastapi_base.core.errors import Unavailable
from fastapi_base.db.database import EngineDatabase
from fastapi_base.db.engine import create_engine
from tests import servers
from tests.integration.certificates import write_certificate
from tests.integration.databases import sibling

pytestmark = pytest.mark.anyio


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@pytest.fixture(scope="module", params=["right name", "other name"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path, bool]]:
    """A server that takes TLS: its address, its certificate, whether that has its name."""
    right = request.param == "right name"
    folder = tmp_path_factory.mktemp("tls") / "files"
    certificate, key = write_certificate(folder, LOOPBACK if right else x509.DNSName("elsewhere"))
    with servers.embedded_postgres(certificate=certificate, key=key) as url:
        yield sibling(url, "postgres"), certificate, right


async def encrypted(url: str, mode: str, ca_file: Path | None = None) -> bool:
    settings = DatabaseSettings.model_validate(
        {"url": url, "ssl_mode": mode, "ssl_ca_file": ca_file}
    )
    engine = create_engine(settings)
    try:
        async with EngineDatabase(engine).read() as connection:
            query = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return bool(await connection.scalar(query))
    finally:
        await engine.dispose()


async def test_modes_without_a_look_at_the_certificate(server: tuple[str, Path, bool]) -> None:
    url, _, _ = server
    assert [await encrypted(url, mode) for mode in ("disable", "prefer", "require")] == [
        False,
        True,
        True,
    ]


async def test_an_unknown_certificate_is_refused(server: tuple[str, Path, bool]) -> None:
    url, _, _ = server
    for mode in ("verify-ca", "verify-full"):
        with pytest.raises(Unavailable):
            await encrypted(url, mode)


async def test_a_known_certificate_is_taken_by_its_name(server: tuple[str, Path, bool]) -> None:
    url, certificate, right = server
    assert await encrypted(url, "verify-ca", certificate)
    if right:
        assert await encrypted(url, "verify-full", certificate)
    else:
        with pytest.raises(Unavailable):
            await encrypted(url, "verify-full", certificate)


async def test_a_server_without_tls_is_refused_where_it_is_required(database_url: str) -> None:
    for mode in ("require", "verify-full"):
        with pytest.raises(Unavailable):
            await encrypted(database_url, mode)
