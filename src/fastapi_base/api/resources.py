"""The resources that one API process holds open: created and closed in one place."""

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import openfeature.api
from redis.asyncio import Redis

from fastapi_base.api.observability import vitals
from fastapi_base.core.config import Settings
from fastapi_base.core.config.cache import CacheSettings
from fastapi_base.core.flags import parse_defaults
from fastapi_base.core.messaging.redis import create_redis
from fastapi_base.core.observability import metrics, tracing
from fastapi_base.core.security.encryption import Cipher
from fastapi_base.core.security.passwords import PasswordHasher
from fastapi_base.core.security.tls import client_context
from fastapi_base.core.security.tokens import TokenCodec
from fastapi_base.db.engine import create_engine, create_replica_engine
from fastapi_base.db.session import Database, EngineDatabase
from fastapi_base.services.flags.flags import Flags
from fastapi_base.services.flags.openfeature import DOMAIN, FlagProvider
from fastapi_base.services.health.health import Health
from fastapi_base.services.identity.accounts import Accounts
from fastapi_base.services.identity.api_keys import UseRecorder
from fastapi_base.services.identity.auth import Auth
from fastapi_base.services.identity.browsers import Browsers
from fastapi_base.services.identity.callers import Callers, find_callers
from fastapi_base.services.identity.challenges import Challenges
from fastapi_base.services.identity.email_change import EmailChange  # slice: email-change
from fastapi_base.services.identity.lifecycle import Lifecycle
from fastapi_base.services.identity.second_factor import SecondFactor
from fastapi_base.services.identity.throttle import Throttle
from fastapi_base.services.jobs.watch import Watch
from fastapi_base.services.limits.rate_limit import RateLimiter
from fastapi_base.services.limits.streams import Streams
from fastapi_base.services.mail.request import Mailer
from fastapi_base.utils.addresses import Networks
from fastapi_base.utils.cache import Cache, LocalTier, Outcome
from fastapi_base.utils.pagination import CursorCodec

# begin slice: oidc, passkeys
# These libraries account for a tenth of the start-up time; they are loaded only on demand.
if TYPE_CHECKING:
    from fastapi_base.services.identity.oidc import Oidc  # slice: oidc
    from fastapi_base.services.identity.oidc_provider import Provider  # slice: oidc
    from fastapi_base.services.identity.passkeys import Passkeys  # slice: passkeys
# end slice: oidc, passkeys


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that routes need and that outlives a request."""

    database: Database
    redis: Redis
    cache: Cache
    hasher: PasswordHasher
    tokens: TokenCodec
    cursors: CursorCodec
    callers: Callers
    key_uses: UseRecorder
    throttle: Throttle
    mail_throttle: Throttle
    mailer: Mailer
    limiter: RateLimiter
    flags: Flags
    cipher: Cipher
    challenges: Challenges
    browsers: Browsers
    providers: Mapping[str, "Provider"]  # slice: oidc
    settings: Settings
    health: Health
    watch: Watch
    streams: Streams

    @property
    def auth(self) -> Auth:
        """Login and sessions."""
        return Auth(
            self.database,
            self.hasher,
            self.tokens,
            self.throttle,
            self.challenges,
            self.mailer,
            self.settings.auth,
            self.callers,
        )

    @property
    def second_factor(self) -> SecondFactor:
        """The TOTP second factor."""
        return SecondFactor(self.auth, self.cipher)

    @property
    def accounts(self) -> Accounts:
        """Registration, verification and recovery of accounts."""
        return Accounts(
            self.database, self.hasher, self.mail_throttle, self.mailer, self.settings.auth
        )

    # begin slice: email-change
    @property
    def email_change(self) -> EmailChange:
        """Changes of e-mail addresses."""
        return EmailChange(self.auth, self.mail_throttle)

    # end slice: email-change
    # begin slice: oidc
    @property
    def oidc(self) -> "Oidc":
        """Login with identity providers."""
        from fastapi_base.services.identity.oidc import Oidc

        return Oidc(self.auth, self.providers)

    # end slice: oidc
    # begin slice: passkeys
    @property
    def passkeys(self) -> "Passkeys":
        """Passkeys, and login with them."""
        from fastapi_base.services.identity.passkeys import Passkeys

        return Passkeys(self.auth, self.settings.passkey)

    # end slice: passkeys
    @property
    def lifecycle(self) -> Lifecycle:
        """Deactivation and deletion of an account."""
        return Lifecycle(self.auth)


_READS = metrics.counter("cache_reads", "Reads of the cache", "namespace", "outcome")


def open_cache(redis: Redis, settings: CacheSettings) -> Cache:
    """The cache of one process, which counts hits and misses."""

    def record(namespace: str, outcome: Outcome) -> None:
        _READS.child(namespace, str(outcome)).inc()

    local = LocalTier(settings.local_entries, settings.local_seconds)
    return Cache(redis, record, enabled=settings.enabled, local=local)


# begin slice: oidc
def _providers(settings: Settings) -> dict[str, "Provider"]:
    given, skew = settings.oidc, settings.auth.clock_skew_seconds
    if not given.providers:
        return {}
    from fastapi_base.services.identity.oidc_provider import Provider

    tls = settings.tls
    verify: ssl.SSLContext | Literal[True] = client_context(tls) if tls.ca_file else True
    return {
        name: Provider(name, one, given.timeout, skew, verify)
        for name, one in given.providers.items()
    }


# end slice: oidc
OpenResources = Callable[[Settings], AbstractAsyncContextManager[Resources]]


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Create the configured resources.

    Connections open lazily, so the API starts without its servers.
    """
    async with AsyncExitStack() as stack:
        hasher = PasswordHasher(settings.auth)
        stack.callback(hasher.close)
        database, watch = await _open_database(stack, settings, hasher)
        redis = create_redis(settings.redis, settings.tls)
        tracing.watch_redis(redis)
        stack.push_async_callback(redis.aclose)
        cache = open_cache(redis, settings.cache)
        stack.push_async_callback(cache.aclose)
        key_uses = UseRecorder()
        stack.push_async_callback(key_uses.close)
        flags = await _open_flags(stack, settings, database, redis)
        yield Resources(
            database=database,
            redis=redis,
            cache=cache,
            hasher=hasher,
            tokens=TokenCodec(settings.auth),
            cursors=CursorCodec(
                [secret.get_secret_value().encode() for secret in settings.auth.secrets]
            ),
            callers=find_callers(database),
            key_uses=key_uses,
            throttle=Throttle(redis, settings.throttle),
            mail_throttle=Throttle(redis, settings.throttle, "mail:"),
            mailer=Mailer(settings),
            limiter=RateLimiter(redis),
            flags=flags,
            cipher=Cipher(settings.auth),
            providers=_providers(settings),  # slice: oidc
            browsers=Browsers(redis, settings.auth.refresh_token_seconds),
            challenges=Challenges(redis, settings.auth.challenge_seconds),
            settings=settings,
            health=Health(settings),
            watch=watch,
            streams=Streams(
                redis,
                total=settings.api.streams,
                per_account=settings.api.streams_per_account,
                exempt=Networks(settings.rate_limit.exempt),
            ),
        )


async def _open_database(
    stack: AsyncExitStack, settings: Settings, hasher: PasswordHasher
) -> tuple[EngineDatabase, Watch]:
    """The connection pools with their metrics, and the watch of jobs, which uses the primary."""
    engine = create_engine(settings.database, "fastapi-base-api", settings.tls)
    stack.push_async_callback(engine.dispose)
    replica = create_replica_engine(settings.database, "fastapi-base-api", settings.tls)
    if replica is not None:
        stack.push_async_callback(replica.dispose)
    database = EngineDatabase.of(settings.database, engine, replica)
    if settings.metrics.port:
        engines = {"primary": engine, **({"replica": replica} if replica is not None else {})}
        limit = settings.database.pool_size + settings.database.pool_overflow
        await stack.enter_async_context(vitals.watched(engines, limit, hasher))
    watch = Watch(database, None if settings.database.pgbouncer else engine)
    stack.push_async_callback(watch.close)
    return database, watch


async def _open_flags(
    stack: AsyncExitStack, settings: Settings, database: Database, redis: Redis
) -> Flags:
    flags = Flags(
        database,
        redis,
        defaults=parse_defaults(settings.flags.flags),
        poll=settings.flags.flags_poll_seconds,
    )
    await stack.enter_async_context(flags.kept_fresh())
    openfeature.api.set_provider(FlagProvider(flags), DOMAIN)
    return flags
