"""Limits on long responses (exports, events): in total, per network and per account."""

import asyncio
import contextlib
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Container, Hashable, Iterator

import structlog
from redis.asyncio import Redis
from redis.asyncio.lock import Lock
from redis.exceptions import LockError

from fastapi_base.core.errors import Overloaded, TooManyAtOnce, Unavailable, cause
from fastapi_base.core.messaging.redis import answering
from fastapi_base.core.runtime import background
from fastapi_base.utils.addresses import network

log = structlog.stdlib.get_logger(__name__)

_PREFIX = "fastapi-base:stream:"
# After a process died during an export, its account cannot start another for this long.
LEASE_SECONDS = 30.0
_OF_ADDRESS = "This IP address has too many exports and streams in progress; wait for one to end"
# Redis is unavailable, or has lost the lock.
_LOST = (Unavailable, LockError)


class Streams:
    """Hands out slots: `total` in this process, of which one account may hold a few.

    Callers of one IP address (IPv6: /64) hold at most half of them together, whatever their number
    of accounts, except for addresses in `exempt`. A slot is held until the block that took it ends.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        total: int,
        per_account: int,
        exempt: Container[str] = (),
        lease: float = LEASE_SECONDS,
    ) -> None:
        self._redis = redis
        self._total = total
        self._per_account = per_account
        self._per_network = max(1, total // 2)
        self._exempt = exempt
        self._lease = lease
        self._taken: Counter[tuple[str, uuid.UUID]] = Counter()
        self._networks: Counter[str] = Counter()

    @contextlib.contextmanager
    def few(self, kind: str, account: uuid.UUID, address: str | None) -> Iterator[None]:
        """One of a few slots of this kind for the account, in this process.

        `address` is the caller's IP address.

        Raises TooManyAtOnce, and Overloaded if the process has no slot left.
        """
        with self._place(kind, account, address, self._per_account):
            yield

    @contextlib.asynccontextmanager
    async def exclusive(
        self, kind: str, account: uuid.UUID, address: str | None
    ) -> AsyncIterator[None]:
        """The only slot of this kind for the account, across all processes. Raises as few() does.

        A lock in Redis, renewed meanwhile, represents it; the lock of a dead process expires within
        `lease` seconds. While Redis does not answer, each process counts separately.
        """
        with self._place(kind, account, address, 1):
            lock = await self._lock(kind, account)
            if lock is None:
                yield
                return
            try:
                async with background.running("stream-places", lambda: self._renew(lock)):
                    yield
            finally:
                # The lock expires by itself if it cannot be released.
                with contextlib.suppress(*_LOST), answering():
                    await lock.release()

    async def _lock(self, kind: str, account: uuid.UUID) -> Lock | None:
        lock = self._redis.lock(f"{_PREFIX}{kind}:{account}", timeout=self._lease)
        try:
            with answering():
                taken = await lock.acquire(blocking=False)
        except Unavailable as error:
            log.warning("streams are counted in this process alone", error=cause(error))
            return None
        if taken:
            return lock
        raise _too_many(kind, 1)

    @contextlib.contextmanager
    def _place(
        self, kind: str, account: uuid.UUID, address: str | None, most: int
    ) -> Iterator[None]:
        who, where = (kind, account), network(address)
        if self._taken[who] >= most:
            raise _too_many(kind, most)
        if self._networks[where] >= self._per_network and address not in self._exempt:
            raise TooManyAtOnce(_OF_ADDRESS)
        if self._taken.total() >= self._total:
            raise Overloaded("This process has reached its limit of concurrent exports and streams")
        with _counted(self._taken, who), _counted(self._networks, where):
            yield

    async def _renew(self, lock: Lock) -> None:
        while True:
            await asyncio.sleep(self._lease / 3)
            # Without Redis, or if it lost the lock, the slot in this process remains.
            with contextlib.suppress(*_LOST), answering():
                await lock.reacquire()


@contextlib.contextmanager
def _counted[T: Hashable](counter: Counter[T], key: T) -> Iterator[None]:
    counter[key] += 1
    try:
        yield
    finally:
        counter[key] -= 1
        if not counter[key]:
            del counter[key]


def _too_many(kind: str, most: int) -> TooManyAtOnce:
    return TooManyAtOnce(
        f"The account has reached its limit ({kind}: {most} at a time); wait for one to end"
    )
