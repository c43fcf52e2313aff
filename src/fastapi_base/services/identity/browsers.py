"""Browser sessions: a cookie holds an opaque id, which Redis maps to the session.

Redis stores only the mapping. The database decides for each request whether the session is live, as
for tokens. If Redis loses the mapping, people log in again.
"""

import hmac
import json
import secrets
import uuid
from dataclasses import dataclass, field

from redis.asyncio import Redis

from fastapi_base.core.errors import NotAuthenticated
from fastapi_base.core.messaging.redis import answering
from fastapi_base.core.security.opaque import digest, new_token

_PREFIX = "fastapi-base:browser:"
_KIND = "bs"


@dataclass(frozen=True, slots=True)
class Browser:
    """The session that a cookie belongs to, and the CSRF token for its unsafe requests."""

    user_id: uuid.UUID
    session_id: uuid.UUID
    csrf_token: str = field(repr=False)

    def is_token(self, given: str) -> bool:
        """Whether this is the browser's CSRF token."""
        return hmac.compare_digest(self.csrf_token.encode(), given.encode(errors="replace"))


@dataclass(frozen=True, slots=True)
class Cookie:
    """A new id for the cookie, and its CSRF token."""

    value: str = field(repr=False)
    csrf_token: str = field(repr=False)


class Browsers:
    """Creates, finds and ends browser sessions. Redis stores digests, useless as cookies."""

    def __init__(self, redis: Redis, idle_seconds: int) -> None:
        self._redis = redis
        self._idle = idle_seconds

    async def begin(self, user_id: uuid.UUID, session_id: uuid.UUID) -> Cookie:
        """Create a new id, never one from the client. Raises Unavailable."""
        token = new_token(_KIND)
        csrf_token = secrets.token_urlsafe(32)
        record = {"user": str(user_id), "session": str(session_id), "csrf": csrf_token}
        key, value = _key(token.digest), json.dumps(record)
        with answering():
            await self._redis.set(key, value, ex=self._idle)
        return Cookie(token.value, csrf_token)

    async def find(self, value: str) -> Browser:
        """The session of a cookie, which expires after the idle time. Raises NotAuthenticated."""
        with answering():
            stored = await self._redis.getex(_key(digest(value)), ex=self._idle)
        if stored is None:
            raise NotAuthenticated("The session has ended; log in again")
        record = json.loads(stored)
        return Browser(uuid.UUID(record["user"]), uuid.UUID(record["session"]), record["csrf"])

    async def end(self, value: str) -> None:
        """Delete the mapping of a cookie. Raises Unavailable."""
        with answering():
            await self._redis.delete(_key(digest(value)))


def _key(digest: bytes) -> str:
    return f"{_PREFIX}{digest.hex()}"
