"""Feature flags at run time: a snapshot in each process, kept fresh.

Whoever changes an override writes it to the database, then tells all processes through Redis. They
read the database again, then, and every few seconds for when Redis had nothing to say. Deciding a
flag is a look into memory; while the database is down, the last snapshot counts.
"""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql import func
from sqlmodel import col

from fastapi_base.core.caller import Origin
from fastapi_base.core.errors import DomainError, NotFound, WrongFlagValue
from fastapi_base.core.flags import FLAGS, Flag, FlagValue, Override
from fastapi_base.db.database import Database
from fastapi_base.models.flag import FlagOverride
from fastapi_base.schemas.flag import FlagRead, OverrideWrite
from fastapi_base.services import audit
from fastapi_base.services.audit import Action

CHANNEL = "fastapi-base:flags"
log = structlog.stdlib.get_logger(__name__)


class Snapshot:
    """Flags as they were when the database was last read; before, their defaults."""

    def __init__(self, defaults: Mapping[str, FlagValue] | None = None) -> None:
        self._defaults = dict(defaults or {})
        self._overrides: dict[str, Override] = {}

    def value[T: FlagValue](self, flag: Flag[T], user_id: uuid.UUID | None = None) -> T:
        """What the flag is for this account, or for callers without one."""
        override = self._overrides.get(flag.name)
        if override and override.applies(flag.name, user_id) and flag.fits(override.value):
            return override.value  # type: ignore[return-value]
        return self.default(flag)

    def default[T: FlagValue](self, flag: Flag[T]) -> T:
        """What the flag is without an override."""
        return self._defaults.get(flag.name, flag.default)  # type: ignore[return-value]

    async def read_from(self, database: Database) -> None:
        """Read all overrides. Raises Unavailable; what was known stays."""
        columns = (FlagOverride.name, FlagOverride.value, FlagOverride.percentage)
        async with database.read() as connection:
            rows = await connection.execute(
                select(*(col(c) for c in columns), col(FlagOverride.user_ids))
            )
        self._overrides = {
            row.name: Override(row.value, row.percentage, frozenset(row.user_ids)) for row in rows
        }


class Flags(Snapshot):
    """The flags of this process. `poll` is how many seconds a change may go unseen."""

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

    async def refresh(self) -> None:
        """Read all overrides. Raises Unavailable; what was known stays."""
        await self.read_from(self._database)

    def read(self) -> list[FlagRead]:
        """All flags, by name, as this process knows them."""
        return [self._read(FLAGS[name]) for name in sorted(FLAGS)]

    async def override(
        self, name: str, given: OverrideWrite, *, actor: uuid.UUID, origin: Origin
    ) -> FlagRead:
        """Give a flag another value, everywhere. Raises NotFound or WrongFlagValue."""
        flag = _flag(name)
        if not flag.fits(given.value):
            raise WrongFlagValue(f"{name} takes a {type(flag.default).__name__}")
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
            )
        await self._tell()
        return self._read(flag)

    async def reset(self, name: str, *, actor: uuid.UUID, origin: Origin) -> None:
        """Take a flag back to its default, everywhere. Raises NotFound."""
        _flag(name)
        async with self._database.transaction() as session:
            await session.exec(delete(FlagOverride).where(col(FlagOverride.name) == name))
            await audit.record(session, Action.FLAG_CHANGED, origin, actor=actor, flag=name)
        await self._tell()

    @contextlib.asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """Keep the snapshot fresh while the block runs. Does not fail when the servers are down."""
        told = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._listen(told)), group.create_task(self._follow(told))]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def _follow(self, told: asyncio.Event) -> None:
        while True:
            try:
                await self.refresh()
            except DomainError as error:
                log.warning("flags are not fresh: the database does not answer", error=str(error))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await told.wait()
            told.clear()

    async def _listen(self, told: asyncio.Event) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(CHANNEL)
                    # What was said before the subscription is read from the database.
                    told.set()
                    while True:
                        if await channel.get_message(timeout=self._poll):
                            told.set()
            except (RedisError, OSError):
                # Polling goes on meanwhile.
                await asyncio.sleep(1)

    async def _tell(self) -> None:
        await self.refresh()
        try:
            await self._redis.publish(CHANNEL, "changed")
        except (RedisError, OSError) as error:
            log.warning("other processes learn of the flag by polling", error=str(error))

    def _read(self, flag: Flag[bool] | Flag[int] | Flag[float] | Flag[str]) -> FlagRead:
        found = self._overrides.get(flag.name)
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


def _flag(name: str) -> Flag[bool] | Flag[int] | Flag[float] | Flag[str]:
    if name not in FLAGS:
        raise NotFound(f"There is no such flag; flags are {', '.join(sorted(FLAGS))}")
    return FLAGS[name]
