"""Sessions of browsers: an opaque id in a cookie, looked up in Redis, leads to the session.

Redis says only which session a cookie belongs to. Whether that session goes on is asked of the
database with each request, as for tokens. When Redis loses its records, people log in again.
"""

import hmac
import json
import secrets
import uuid
from dataclasses import dataclass, field

from redis.asyncio import Redis
from redis.exceptions import RedisError

from fastapi_base.core.errors import NotAuthenticated, Unavailable
from fastapi_base.core.opaque import digest, new_token

_PREFIX = "fastapi-base:browser:"
_KIND = "bs"


@dataclass(frozen=True, slots=True)
class Browser:
    """The session that a cookie belongs to, and the token that its unsafe requests must bring."""

    user_id: uuid.UUID
    session_id: uuid.UUID
    csrf_token: str = field(repr=False)

    def is_token(self, given: str) -> bool:
        """Whether this is the browser's token."""
        return hmac.compare_digest(self.csrf_token.encode(), given.encode(errors="replace"))


@dataclass(frozen=True, slots=True)
class Cookie:
    """A new id for the cookie, and the token beside it."""

    value: str = field(repr=False)
    csrf_token: str = field(repr=False)


class Browsers:
    """Begins, finds and ends. Redis knows digests: whoever reads it has no cookie to use."""

    def __init__(self, redis: Redis, idle_seconds: int) -> None:
        self._redis = redis
        self._idle = idle_seconds

    async def begin(self, user_id: uuid.UUID, session_id: uuid.UUID) -> Cookie:
        """A new id, never one that the caller sent. Raises Unavailable."""
        token = new_token(_KIND)
        csrf_token = secrets.token_urlsafe(32)
        record = {"user": str(user_id), "session": str(session_id), "csrf": csrf_token}
        try:
            await self._redis.set(_key(token.digest), json.dumps(record), ex=self._idle)
        except (RedisError, OSError) as error:
            raise Unavailable("Redis does not answer") from error
        return Cookie(token.value, csrf_token)

    async def find(self, value: str) -> Browser:
        """Whose cookie it is; unused for the idle time, it ends. Raises NotAuthenticated."""
        try:
            stored = await self._redis.getex(_key(digest(value)), ex=self._idle)
        except (RedisError, OSError) as error:
            raise Unavailable("Redis does not answer") from error
        if stored is None:
            raise NotAuthenticated("The session has ended; log in")
        record = json.loads(stored)
        return Browser(uuid.UUID(record["user"]), uuid.UUID(record["session"]), record["csrf"])

    async def end(self, value: str) -> None:
        """Forget the cookie. Raises Unavailable."""
        try:
            await self._redis.delete(_key(digest(value)))
        except (RedisError, OSError) as error:
            raise Unavailable("Redis does not answer") from error


def _key(digest: bytes) -> str:
    return f"{_PREFIX}{digest.hex()}"
