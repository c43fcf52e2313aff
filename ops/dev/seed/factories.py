"""A factory for each model: `UserFactory.build()`, `JobFactory.batch(3, owner_id=user.id)`."""

from datetime import UTC, datetime, timedelta
from typing import Any

from polyfactory import Use
from sqlmodel import SQLModel

from fastapi_base.core.flags import WORD_COUNT as WORD_COUNT_FLAG
from fastapi_base.core.security.scopes import Scope
from fastapi_base.models import (
    ApiKey,
    AuditEvent,
    CacheStamp,
    DayStatistics,  # slice: statistics
    EmailChange,  # slice: email-change
    ExternalIdentity,  # slice: oidc
    File,
    FileChunk,
    FlagOverride,
    IdempotencyKey,
    Invitation,
    Job,
    LoginSession,
    OneTimeToken,
    Passkey,  # slice: passkeys
    RecoveryCode,
    RefreshToken,
    ScheduleState,
    TotpFactor,
    User,
)
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.statistics.statistics import FIGURES  # slice: statistics
from fastapi_base.services.words import WORD_COUNT
from ops.dev.seed.base import Factory
from ops.dev.seed.items import ItemFactory as ItemFactory  # slice: items

#: Documentation addresses (RFC 5737, RFC 3849).
ADDRESSES = ("192.0.2.{}", "198.51.100.{}", "203.0.113.{}", "2001:db8::{}")


class UserFactory(Factory[User]):
    """An account with which nobody can log in, unless the caller gives a password hash."""

    password_hash = "!"
    email_verified_at = Use(lambda: Factory.moment())

    @classmethod
    def display_name(cls) -> str:
        """A name in one of several scripts."""
        return str(cls.__faker__.name())[:100]


class LoginSessionFactory(Factory[LoginSession]):
    """A session that is not over."""

    expires_at = Use(lambda: Factory.later())

    @classmethod
    def address(cls) -> str:
        """An address that is reserved for documentation."""
        return str(cls.__random__.choice(ADDRESSES).format(cls.__random__.randint(1, 254)))

    @classmethod
    def user_agent(cls) -> str:
        """The browser of the client."""
        return str(cls.__faker__.user_agent())[:200]


class RefreshTokenFactory(Factory[RefreshToken]):
    """An unused token."""

    expires_at = Use(lambda: Factory.later())


class JobFactory(Factory[Job]):
    """A queued word count, which no relay publishes for a day."""

    kind = WORD_COUNT.name
    version = WORD_COUNT.version
    queue = WORD_COUNT.queue.value
    priority = int(WORD_COUNT.priority)
    max_attempts = WORD_COUNT.attempts
    state = "queued"
    run_at = Use(lambda: Factory.later())

    @classmethod
    def payload(cls) -> dict[str, Any]:
        """A text to count the words of."""
        return {"text": cls.__faker__["en_US"].catch_phrase()}


class AuditEventFactory(Factory[AuditEvent]):
    """An event of any kind."""

    @classmethod
    def action(cls) -> str:
        """One of the actions of the log."""
        return cls.__random__.choice(list(Action)).value


class ApiKeyFactory(Factory[ApiKey]):
    """A valid key."""

    name = Use(lambda: Factory.__faker__["en_US"].job()[:100])
    start = "fb_example"
    expires_at = Use(lambda: Factory.later())

    @classmethod
    def scopes(cls) -> list[str]:
        """One scope."""
        return [cls.__random__.choice(list(Scope)).value]


class InvitationFactory(Factory[Invitation]):
    """An open invitation."""

    expires_at = Use(lambda: Factory.later())


# begin slice: email-change
class EmailChangeFactory(Factory[EmailChange]):
    """A pending change."""

    old_email = Use(lambda: Factory.email())
    new_email = Use(lambda: Factory.email())
    expires_at = Use(lambda: Factory.later())


# end slice: email-change
class OneTimeTokenFactory(Factory[OneTimeToken]):
    """A valid token."""

    purpose = "verify-email"
    expires_at = Use(lambda: Factory.later())


# begin slice: oidc
class ExternalIdentityFactory(Factory[ExternalIdentity]):
    """An identity at an invented provider."""

    issuer = "https://login.example.com"
    provider = "example"
    subject = Use(lambda: Factory.digest().hex())


# end slice: oidc
# begin slice: passkeys
class PasskeyFactory(Factory[Passkey]):
    """A passkey with which nobody can log in."""

    sign_count = 0
    name = Use(lambda: Factory.__faker__["en_US"].color_name()[:64])


# end slice: passkeys
class TotpFactorFactory(Factory[TotpFactor]):
    """A factor that is not confirmed."""


class RecoveryCodeFactory(Factory[RecoveryCode]):
    """An unused code."""


class IdempotencyKeyFactory(Factory[IdempotencyKey]):
    """A request without its response."""

    key = Use(lambda: Factory.digest().hex())


class FlagOverrideFactory(Factory[FlagOverride]):
    """An override that changes nothing: its value is the default."""

    name = WORD_COUNT_FLAG.name
    value = WORD_COUNT_FLAG.default
    percentage = 50.0


# begin slice: statistics
class DayStatisticsFactory(Factory[DayStatistics]):
    """The figures of a past day."""

    day = Use(
        lambda: (datetime.now(UTC) - timedelta(days=1 + Factory.__random__.randrange(3000))).date()
    )

    @classmethod
    def figures(cls) -> dict[str, int]:
        """Each figure."""
        return {name: cls.__random__.randrange(100) for name in FIGURES}


# end slice: statistics
class ScheduleStateFactory(Factory[ScheduleState]):
    """A schedule that is due later."""

    name = Use(lambda: Factory.digest().hex())
    basis = "0 3 * * *"
    next_at = Use(lambda: Factory.later())


class FileFactory(Factory[File]):
    """A file without content."""

    name = "export.json"
    size = 0
    expires_at = Use(lambda: Factory.later())


class FileChunkFactory(Factory[FileChunk]):
    """A part of a file."""

    number = 0


class CacheStampFactory(Factory[CacheStamp]):
    """A stamp of any scope."""


def factories() -> dict[type[SQLModel], type[Factory[Any]]]:
    """The factory of each model."""
    return {factory.__model__: factory for factory in Factory.__subclasses__()}
