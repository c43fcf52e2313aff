"""Every TLS client against real servers: all of them verify by the same settings.

The servers' certificate is valid only for 127.0.0.1, so `localhost` is a wrong name. `foreign` is a
CA that did not sign it. PostgreSQL is in db/test_tls.py, mail in services/test_delivery.py,
Sentinel and RabbitMQ in tasks.
"""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import kombu.pools
import pytest
from cryptography import x509
from pydantic import SecretStr
from redis.exceptions import RedisError

from fastapi_base.core.config import Settings
from fastapi_base.core.config.database import RedisSettings, TlsSettings
from fastapi_base.core.config.observability import SentrySettings, TracingSettings
from fastapi_base.core.config.oidc import OidcProvider  # slice: oidc
from fastapi_base.core.errors import Unavailable
from fastapi_base.core.messaging.publisher import Publisher
from fastapi_base.core.messaging.queues import Queue
from fastapi_base.core.messaging.redis import create_blocking_redis, create_redis
from fastapi_base.core.observability import reporting, tracing
from fastapi_base.core.security.tls import client_context
from fastapi_base.services.identity.oidc_provider import Provider  # slice: oidc
from fastapi_base.services.jobs.outbox import Message
from ops.measure.bench.collector import receiving
from tests import servers
from tests.integration.certificates import write_certificate
from tests.integration.providers import RogueProvider, rogue_provider  # slice: oidc

pytestmark = pytest.mark.anyio

LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


@dataclass(frozen=True)
class Files:
    """A self-signed certificate, its key, and an unrelated certificate."""

    certificate: Path
    key: Path
    foreign: Path

    @property
    def known(self) -> TlsSettings:
        return TlsSettings(ca_file=self.certificate)

    @property
    def wrong(self) -> TlsSettings:
        return TlsSettings(ca_file=self.foreign)

    @property
    def server(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = write_certificate(folder / "own", LOOPBACK)
    foreign, _ = write_certificate(folder / "foreign", LOOPBACK)
    return Files(certificate, key, foreign)


async def judged(
    files: Files, reaches: Callable[[str, TlsSettings], Awaitable[bool]], url: str
) -> None:
    """Assert that a client connects only if the server's CA and name are right."""
    assert await reaches(url, files.known)
    assert not await reaches(url, files.wrong)
    assert not await reaches(url, TlsSettings())
    assert not await reaches(url.replace("127.0.0.1", "localhost"), files.known)


@pytest.fixture(scope="module")
def redis_server(files: Files) -> Iterator[str]:
    password = "a/secret@with#signs?%41"
    with servers.redis_with_tls(files.certificate, files.key, password) as url:
        yield url


class TestRedis:
    @staticmethod
    async def asynchronous(url: str, tls: TlsSettings) -> bool:
        async with create_redis(RedisSettings.model_validate({"url": url}), tls) as redis:
            try:
                return bool(await redis.ping())
            except RedisError:
                return False

    @staticmethod
    async def blocking(url: str, tls: TlsSettings) -> bool:
        client = create_blocking_redis(RedisSettings.model_validate({"url": url}), tls)
        try:
            return bool(await asyncio.to_thread(client.ping))
        except RedisError:
            return False
        finally:
            client.close()

    @staticmethod
    async def broker(url: str, tls: TlsSettings) -> bool:
        settings = Settings(redis=RedisSettings.model_validate({"url": url}), tls=tls)

        def publish() -> bool:
            # kombu caches connections by their URL, regardless of encryption.
            kombu.pools.reset()  # type: ignore[no-untyped-call]
            publisher = Publisher(settings)
            message = Message(uuid4(), "heartbeat", Queue.DEFAULT, 3, None)
            sent = publisher.publish([message]) == []
            publisher.close()
            return sent

        return await asyncio.to_thread(publish)

    @pytest.mark.parametrize("client", ["asynchronous", "blocking", "broker"])
    async def test_server_is_verified_by_certificate_and_name(
        self, redis_server: str, files: Files, client: str
    ) -> None:
        reaches = getattr(self, client)
        await judged(files, reaches, redis_server)
        assert await reaches(redis_server, TlsSettings(verify="none"))


async def test_error_reports_verify_their_server(files: Files) -> None:
    with receiving(tls=files.server) as received:

        async def reaches(dsn: str, tls: TlsSettings) -> bool:
            settings = Settings(sentry=SentrySettings(dsn=SecretStr(dsn)), tls=tls)
            before = len(received.events)
            assert reporting.start(settings)
            reporting.capture(RuntimeError("a failure"))
            await asyncio.to_thread(reporting.stop)
            return len(received.events) > before

        await judged(files, reaches, received.dsn)


async def test_traces_verify_their_server(files: Files) -> None:
    with receiving(tls=files.server) as received:

        async def reaches(endpoint: str, tls: TlsSettings) -> bool:
            traced = TracingSettings(endpoint=endpoint, sample=1)
            assert tracing.start(Settings(tracing=traced, tls=tls), "test")
            tracer, before = tracing.tracer(), len(received.spans)
            assert tracer
            tracer.start_span("seen").end()
            await asyncio.to_thread(tracing.stop)
            return len(received.spans) > before

        await judged(files, reaches, received.traces_url)


# begin slice: oidc
async def test_identity_providers_are_verified(files: Files) -> None:
    with rogue_provider(files.server) as provider:

        async def reaches(issuer: str, tls: TlsSettings) -> bool:
            provider.issuer = issuer
            given = OidcProvider(
                issuer=issuer, client_id="us", redirect_uri="https://app.example.com/back"
            )
            client = Provider("test", given, 5, 0, client_context(tls))
            try:
                begun = await client.begin()
            except Unavailable:
                return False
            # The key set and the token requests follow the same rules.
            provider.claims = claims(provider, begun.nonce)
            found = await client.finish(begun, code="code", state=begun.state, issuer=issuer)
            return found.subject == "ada"

        await judged(files, reaches, provider.issuer)


def claims(provider: RogueProvider, nonce: str) -> dict[str, object]:
    now = int(time.time())
    return {
        "iss": provider.issuer,
        "aud": "us",
        "sub": "ada",
        "nonce": nonce,
        "iat": now,
        "exp": now + 60,
    }


# end slice: oidc
