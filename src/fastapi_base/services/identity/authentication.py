"""Rechecks an authentication in the transaction that relies on it.

Authentication takes time: a password waits for a hashing thread, a code for its owner. Meanwhile
the password may be reset, a second factor enabled, or the caller's session ended. Therefore code
that relies on an authentication first calls `recheck` in the same transaction: it locks the
account, and raises if the account has changed since.

The account's row is the lock for everything that logins depend on: every change of a password, a
second factor or a link takes it before any other lock. Of a concurrent login and reset, the login
either comes first, and the reset ends its session, or comes second, and is refused.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import AccountChanged, InvalidChallenge, NotAuthenticated
from fastapi_base.services.identity import sessions, users


@dataclass(frozen=True, slots=True)
class Authentication:
    """The factors that a login has verified so far, with the account's state at that time.

    `methods` are those of RFC 8176. `identity` is the linked identity that was used, if any.
    """

    account: users.Credentials
    by: str
    methods: tuple[str, ...]
    identity: uuid.UUID | None = None  # slice: oidc

    @property
    def needs_code(self) -> bool:
        """Whether a second factor is still required."""
        return self.account.second_factor is not None and "mfa" not in self.methods


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A confirmed holder of an account: their session, and the account's state at that time.

    `session_id` is None if only the password was verified, `state` if only a session was.
    """

    user_id: uuid.UUID
    session_id: uuid.UUID | None = None
    state: str | None = None

    async def recheck(self, session: AsyncSession) -> users.Credentials:
        """Like the function `recheck`, for the confirmed operation."""
        return await recheck(session, self.user_id, self.state, session_id=self.session_id)

    def to_challenge(self) -> dict[str, str | None]:
        """The values that a challenge stores, for an operation that a later request finishes."""
        return {"user": str(self.user_id), "session": str(self.session_id), "state": self.state}

    @classmethod
    def from_challenge(
        cls, stored: Mapping[str, Any], user_id: uuid.UUID, session_id: uuid.UUID
    ) -> Self:
        """Restore from a challenge. Raises InvalidChallenge for another account or session.

        Challenges of the previous release contain neither session nor state.
        """
        whose = (stored["user"], stored.get("session", str(session_id)))
        if whose != (str(user_id), str(session_id)):
            raise InvalidChallenge
        return cls(user_id, session_id, stored.get("state"))


async def recheck(
    session: AsyncSession,
    user_id: uuid.UUID,
    state: str | None,
    *,
    session_id: uuid.UUID | None = None,
) -> users.Credentials:
    """Lock an account until the end of the transaction; returns its current state.

    Raises AccountChanged unless it may log in and has the given `state` (None: any), and
    NotAuthenticated if the caller's session, where one is given, has ended.
    """
    current = await users.locked(session, user_id)
    if session_id is not None and not await sessions.is_live(session, user_id, session_id):
        raise NotAuthenticated
    if current is None or not current.is_active or state not in (None, current.state):
        raise AccountChanged
    return current
