"""Feature flags at run time: a snapshot in each process, kept current.

A change of an override is written to the database, then announced to all processes through Redis.
They then read the database again; they also poll it every FEATURE_FLAGS_POLL_SECONDS (0.5 by
default), in case a message is lost.
Evaluating a flag is an in-memory lookup; if the database is unavailable, the last snapshot applies.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping

import structlog
from redis.asyncio import Redis
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql import func
from sqlmodel import col

from fastapi_base.core.errors import NotFound, Unavailable, WrongFlagValue, cause
from fastapi_base.core.flags import FLAGS, Flag, FlagValue, Override
from fastapi_base.core.messaging.redis import answering
from fastapi_base.core.runtime import background
from fastapi_base.core.security.caller import Origin
from fastapi_base.db.failures import UNAVAILABLE
from fastapi_base.db.session import Database
from fastapi_base.models.flags.flag import FlagOverride
from fastapi_base.schemas.flags.flag import FlagRead, OverrideWrite
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.utils.timeouts import occurs

CHANNEL = "fastapi-base:flags"
# A silently broken subscription is detected after two of these intervals.
LOOK_SECONDS = 10.0
log = structlog.stdlib.get_logger(__name__)
type AnyFlag = Flag[bool] | Flag[int] | Flag[float] | Flag[str]


class Snapshot:
    """The flags as of the last read of the database; before the first one, their defaults."""

    def __init__(self, defaults: Mapping[str, FlagValue] | None = None) -> None:
        self._defaults = dict(defaults or {})
        self._overrides: dict[str, Override] = {}
        # Sequence numbers of reads: the last one started, and the one whose result is held.
        self._started = self._known = 0

    def value[T: FlagValue](self, flag: Flag[T], user_id: uuid.UUID | None = None) -> T:
        """The value of the flag for this account, or for callers without an account."""
        override = self._overrides.get(flag.name)
        if override and override.applies(flag.name, user_id) and flag.fits(override.value):
            return override.value  # type: ignore[return-value]
        return self.default(flag)

    def default[T: FlagValue](self, flag: Flag[T]) -> T:
        """The value of the flag without an override."""
        return self._defaults.get(flag.name, flag.default)  # type: ignore[return-value]

    async def renew(self, database: Database) -> bool:
        """Like read_from(), but logs an outage. Returns whether the overrides were read."""
        try:
            await self.read_from(database)
        except UNAVAILABLE as error:
            log.warning(
                "feature flags may be stale: the database does not answer", error=cause(error)
            )
            return False
        return True

    async def read_from(self, database: Database) -> None:
        """Read all overrides. Raises Unavailable or Overloaded; the previous snapshot stays."""
        self._started += 1
        reading = self._started
        columns = (FlagOverride.name, FlagOverride.value, FlagOverride.percentage)
        async with database.read() as connection:
            rows = await connection.execute(
                select(*(col(c) for c in columns), col(FlagOverride.user_ids))
            )
        # A read that started earlier may end later, with older data.
        if reading < self._known:
            return
        self._known = reading
        self._overrides = {
            row.name: Override(row.value, row.percentage, frozenset(row.user_ids)) for row in rows
        }


class Flags(Snapshot):
    """The flags of this process. `poll` is the polling interval in seconds."""

    def __init__(
        self,
        database: Database,
        redis: Redis,
        *,
        defaults: Mapping[str, FlagValue] | None = None,
        poll: float = 5.0,
    ) -> None:
        super().__init__(defaults)
        self._database = database
        self._redis = redis
        self._poll = poll

    def read(self) -> list[FlagRead]:
        """All flags of this process's snapshot, by name."""
        return [self._described(FLAGS[name], self._overrides.get(name)) for name in sorted(FLAGS)]

    async def override(
        self, name: str, given: OverrideWrite, *, actor: uuid.UUID | None, origin: Origin
    ) -> FlagRead:
        """Override a flag in all processes. Raises NotFound or WrongFlagValue.

        The actor is a superuser, or None for an operator's command.
        """
        flag = _flag(name)
        if not flag.fits(given.value):
            raise WrongFlagValue(f"{name} requires a value of type {type(flag.default).__name__}")
        accounts = sorted(set(given.user_ids))
        row = {"value": given.value, "percentage": given.percentage, "user_ids": accounts}
        statement = insert(FlagOverride).values(name=name, **row)
        async with self._database.transaction() as session:
            await session.exec(
                statement.on_conflict_do_update(
                    index_elements=["name"], set_={**row, "updated_at": func.now()}
                )
            )
            await audit.record(
                session,
                Action.FLAG_CHANGED,
                origin,
                actor=actor,
                flag=name,
                value=str(given.value),
                percentage=str(given.percentage),
                accounts=len(accounts),
                by=_by(actor),
            )
        await self._tell()
        # What was written: the snapshot may be older.
        return self._described(flag, Override(given.value, given.percentage, frozenset(accounts)))

    async def reset(self, name: str, *, actor: uuid.UUID | None, origin: Origin) -> None:
        """Remove the override of a flag in all processes. Raises NotFound. Actor as above."""
        _flag(name)
        async with self._database.transaction() as session:
            await session.exec(delete(FlagOverride).where(col(FlagOverride.name) == name))
            await audit.record(
                session, Action.FLAG_CHANGED, origin, actor=actor, flag=name, by=_by(actor)
            )
        await self._tell()

    @contextlib.asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Keep the snapshot current while the block runs. Does not fail if the servers are down."""
        told = asyncio.Event()
        async with (
            background.running("flags", lambda: self._follow(told)),
            background.running(
                "flags-notices",
                lambda: self._listen(told),
                expected=(Unavailable,),
                longest=LOOK_SECONDS,
            ),
        ):
            yield

    async def _follow(self, told: asyncio.Event) -> None:
        while True:
            await self.renew(self._database)
            await occurs(told, self._poll)
            told.clear()

    async def _listen(self, told: asyncio.Event) -> None:
        """Listen for announcements until Redis fails. Polling continues meanwhile."""
        with answering():
            async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                await channel.subscribe(CHANNEL)
                # Read the database for changes announced before the subscription.
                told.set()
                asked = False
                while True:
                    if message := await channel.get_message(timeout=LOOK_SECONDS):
                        asked = False
                        if message["type"] == "message":
                            told.set()
                    elif asked:
                        raise ConnectionError("the subscription does not respond")
                    else:
                        # A silently broken connection would block forever.
                        asked = True
                        await channel.ping()

    async def _tell(self) -> None:
        """Announce a committed change, whose success no longer depends on any server."""
        try:
            with answering():
                await self._redis.publish(CHANNEL, "changed")
        except Unavailable as error:
            log.warning("other processes learn of the flag by polling", error=cause(error))
        await self.renew(self._database)

    def _described(self, flag: AnyFlag, found: Override | None) -> FlagRead:
        return FlagRead(
            name=flag.name,
            description=flag.description,
            default=self._defaults.get(flag.name, flag.default),
            override=OverrideWrite(
                value=found.value, percentage=found.percentage, user_ids=sorted(found.user_ids)
            )
            if found
            else None,
        )


def _by(actor: uuid.UUID | None) -> str:
    return "command" if actor is None else "superuser"


def _flag(name: str) -> AnyFlag:
    if name not in FLAGS:
        raise NotFound(f"The flag does not exist; valid flags: {', '.join(sorted(FLAGS))}")
    return FLAGS[name]
