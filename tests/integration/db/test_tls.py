"""TLS connections, to a server with a certificate made by the test."""

import asyncio
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import text

from fastapi_base.core.config.database import DatabaseSettings, TlsSettings
from fastapi_base.core.errors import Unavailable
from fastapi_base.db.engine import create_engine
from fastapi_base.db.session import EngineDatabase
from fastapi_base.migrations import runner
from tests import servers
from tests.integration.certificates import write_certificate
from tests.integration.databases import sibling

pytestmark = pytest.mark.anyio


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@pytest.fixture(scope="module", params=["right name", "other name"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path, bool]]:
    """A TLS server: its address, its certificate, and whether the certificate has its name."""
    right = request.param == "right name"
    folder = tmp_path_factory.mktemp("tls") / "files"
    certificate, key = write_certificate(folder, LOOPBACK if right else x509.DNSName("elsewhere"))
    with servers.embedded_postgres(certificate=certificate, key=key) as url:
        yield sibling(url, "postgres"), certificate, right


async def encrypted(
    url: str,
    mode: str | None = None,
    ca_file: Path | None = None,
    tls: TlsSettings | None = None,
) -> bool:
    settings = DatabaseSettings.model_validate(
        {"url": url, "ssl_ca_file": ca_file, **({"ssl_mode": mode} if mode else {})}
    )
    engine = create_engine(settings, tls=tls)
    try:
        async with EngineDatabase(engine).read() as connection:
            query = text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            return bool(await connection.scalar(query))
    finally:
        await engine.dispose()


async def test_modes_without_certificate_verification(server: tuple[str, Path, bool]) -> None:
    url, _, _ = server
    assert [await encrypted(url, mode) for mode in ("disable", "prefer", "require")] == [
        False,
        True,
        True,
    ]


async def test_untrusted_certificate_is_refused(server: tuple[str, Path, bool]) -> None:
    url, _, _ = server
    for mode in ("verify-ca", "verify-full"):
        with pytest.raises(Unavailable):
            await encrypted(url, mode)


async def test_trusted_certificate_is_accepted_for_its_name(server: tuple[str, Path, bool]) -> None:
    url, certificate, right = server
    assert await encrypted(url, "verify-ca", certificate)
    if right:
        assert await encrypted(url, "verify-full", certificate)
    else:
        with pytest.raises(Unavailable):
            await encrypted(url, "verify-full", certificate)


async def test_server_without_tls_is_refused_where_tls_is_required(database_url: str) -> None:
    for mode in ("require", "verify-full"):
        with pytest.raises(Unavailable):
            await encrypted(database_url, mode)


@pytest.mark.parametrize("asked", ["sslmode=require", "ssl=require", "ssl=true"])
async def test_requirement_of_the_url_applies(
    server: tuple[str, Path, bool], database_url: str, asked: str
) -> None:
    assert await encrypted(f"{server[0]}?{asked}")
    # Even if the variable requires less.
    for mode in (None, "disable"):
        with pytest.raises(Unavailable):
            await encrypted(f"{database_url}?{asked}", mode)


async def test_url_may_disable_tls(server: tuple[str, Path, bool]) -> None:
    assert not await encrypted(f"{server[0]}?sslmode=disable")


@pytest.mark.parametrize(
    "asked", ["sslmode=verify-full", "sslmode=require&channel_binding=require"]
)
async def test_authorities_and_names_of_a_url(
    server: tuple[str, Path, bool], tmp_path: Path, asked: str
) -> None:
    url, certificate, right = server
    foreign, _ = write_certificate(tmp_path / "foreign", LOOPBACK)
    known = TlsSettings(ca_file=certificate)
    for given, tls in (
        (f"{url}?{asked}", None),
        (f"{url}?{asked}", TlsSettings(ca_file=foreign)),
        # Only the database's own authority file applies, where there is one.
        (f"{url}?{asked}&sslrootcert={foreign}", known),
    ):
        with pytest.raises(Unavailable):
            await encrypted(given, tls=tls)
    for given, tls in (
        (f"{url}?{asked}", known),
        (f"{url}?{asked}&sslrootcert={certificate}", None),
    ):
        if right:
            assert await encrypted(given, tls=tls)
        else:
            with pytest.raises(Unavailable):
                await encrypted(given, tls=tls)


async def test_migrations_use_the_same_tls_mode(
    server: tuple[str, Path, bool], empty_database_url: str
) -> None:
    url, certificate, _ = server
    settings = DatabaseSettings.model_validate({"url": f"{url}?sslmode=verify-ca"})
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.to_thread(runner.upgrade, settings)
    await asyncio.to_thread(runner.upgrade, settings, "head", TlsSettings(ca_file=certificate))
    plain = f"{empty_database_url}?sslmode=require"
    with pytest.raises(ConnectionError):
        await asyncio.to_thread(runner.upgrade, plain)
