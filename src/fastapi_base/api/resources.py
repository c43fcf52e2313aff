"""What one process of the API holds open, made in one place and closed in one place."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import openfeature.api
from redis.asyncio import Redis

from fastapi_base.api import vitals
from fastapi_base.core import metrics, tracing
from fastapi_base.core.config import Settings
from fastapi_base.core.config_cache import CacheSettings
from fastapi_base.core.config_login import OidcSettings
from fastapi_base.core.encryption import Cipher
from fastapi_base.core.flags import parse_defaults
from fastapi_base.core.redis import create_redis
from fastapi_base.core.security import PasswordHasher, TokenCodec
from fastapi_base.db.database import Database, EngineDatabase
from fastapi_base.db.engine import create_engine, create_replica_engine
from fastapi_base.services.accounts import Accounts
from fastapi_base.services.api_keys import UseRecorder
from fastapi_base.services.auth import Auth, Callers, find_callers
from fastapi_base.services.browsers import Browsers
from fastapi_base.services.challenges import Challenges
from fastapi_base.services.email_change import EmailChange
from fastapi_base.services.flags import Flags
from fastapi_base.services.health import Health
from fastapi_base.services.jobs.watch import Watch
from fastapi_base.services.lifecycle import Lifecycle
from fastapi_base.services.mailer import Mailer
from fastapi_base.services.openfeature import DOMAIN, FlagProvider
from fastapi_base.services.rate_limit import RateLimiter
from fastapi_base.services.second_factor import SecondFactor
from fastapi_base.services.throttle import Throttle
from fastapi_base.utils.cache import Cache, LocalTier, Outcome
from fastapi_base.utils.pagination import CursorCodec

# Their libraries are a tenth of the start, and are not loaded where nobody uses them.
if TYPE_CHECKING:
    from fastapi_base.services.oidc import Oidc
    from fastapi_base.services.oidc_provider import Provider
    from fastapi_base.services.passkeys import Passkeys


@dataclass(frozen=True, slots=True)
class Resources:
    """Everything that routes need and that lives longer than a request."""

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
    providers: Mapping[str, "Provider"]
    settings: Settings
    health: Health
    watch: Watch

    @property
    def auth(self) -> Auth:
        """Login and what follows from it."""
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
        """Codes of authenticator applications."""
        return SecondFactor(self.auth, self.cipher)

    @property
    def accounts(self) -> Accounts:
        """The life of an account."""
        return Accounts(
            self.database, self.hasher, self.mail_throttle, self.mailer, self.settings.auth
        )

    @property
    def email_change(self) -> EmailChange:
        """Changes of addresses."""
        return EmailChange(self.auth, self.mail_throttle)

    @property
    def oidc(self) -> "Oidc":
        """Login with providers of identities."""
        from fastapi_base.services.oidc import Oidc

        return Oidc(self.auth, self.providers)

    @property
    def passkeys(self) -> "Passkeys":
        """Passkeys, and login with them."""
        from fastapi_base.services.passkeys import Passkeys

        return Passkeys(self.auth, self.settings.passkey)

    @property
    def lifecycle(self) -> Lifecycle:
        """The end of an account."""
        return Lifecycle(self.auth)


_READS = metrics.counter(
    "cache_reads", "Reads of the cache, by kind of entry and by outcome", "namespace", "outcome"
)


def open_cache(redis: Redis, settings: CacheSettings) -> Cache:
    """The cache of one process, which counts how its reads went."""

    def record(namespace: str, outcome: Outcome) -> None:
        _READS.child(namespace, str(outcome)).inc()

    local = LocalTier(settings.local_entries, settings.local_seconds)
    return Cache(redis, record, enabled=settings.enabled, local=local)


def _providers(settings: OidcSettings) -> dict[str, "Provider"]:
    if not settings.providers:
        return {}
    from fastapi_base.services.oidc_provider import Provider

    return {
        name: Provider(name, given, settings.timeout) for name, given in settings.providers.items()
    }


OpenResources = Callable[[Settings], AbstractAsyncContextManager[Resources]]


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Resources as the settings say. Nothing connects yet: the API starts without its servers."""
    async with AsyncExitStack() as stack:
        engine = create_engine(settings.database, "fastapi-base-api")
        stack.push_async_callback(engine.dispose)
        redis = create_redis(settings.redis)
        tracing.watch_redis(redis)
        stack.push_async_callback(redis.aclose)
        cache = open_cache(redis, settings.cache)
        stack.push_async_callback(cache.aclose)
        hasher = PasswordHasher(settings.auth)
        stack.callback(hasher.close)
        replica = create_replica_engine(settings.database, "fastapi-base-api")
        if replica is not None:
            stack.push_async_callback(replica.dispose)
        database = EngineDatabase.of(settings.database, engine, replica)
        if settings.metrics.port:
            engines = {"primary": engine, **({"replica": replica} if replica is not None else {})}
            await stack.enter_async_context(vitals.watched(engines, hasher))
        watch = Watch(database, None if settings.database.pgbouncer else engine)
        stack.push_async_callback(watch.close)
        key_uses = UseRecorder()
        stack.push_async_callback(key_uses.close)
        flags = Flags(
            database,
            redis,
            defaults=parse_defaults(settings.flags.flags),
            poll=settings.flags.flags_poll_seconds,
        )
        await stack.enter_async_context(flags.kept_fresh())
        openfeature.api.set_provider(FlagProvider(flags), DOMAIN)
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
            providers=_providers(settings.oidc),
            browsers=Browsers(redis, settings.auth.refresh_token_seconds),
            challenges=Challenges(redis, settings.auth.challenge_seconds),
            settings=settings,
            health=Health(settings),
            watch=watch,
        )
