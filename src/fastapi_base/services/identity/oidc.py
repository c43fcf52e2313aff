"""Login with identity providers, and linked identities."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, insert, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import (
    AccountChanged,
    AccountNotLinked,
    EmailNotVouchedFor,
    InvalidChallenge,
    NotFound,
    OidcRefused,
    RegistrationClosed,
)
from fastapi_base.core.ids import uuid7
from fastapi_base.core.security.caller import Origin
from fastapi_base.db.hooks import after_commit
from fastapi_base.models.identity.external_identity import ExternalIdentity
from fastapi_base.schemas.identity.oidc import IdentityRead, OidcBegun, OidcFinish
from fastapi_base.schemas.identity.user import normal_email
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.identity import invitations, ownership, sessions, users
from fastapi_base.services.identity.auth import Auth, Principal
from fastapi_base.services.identity.authentication import Authentication, Confirmed
from fastapi_base.services.identity.challenges import ChallengeKind
from fastapi_base.services.identity.oidc_provider import AuthorizationRequest, Identity, Provider

# Matches no password; see core/security/passwords.py.
NO_PASSWORD = "!"
LIST_LIMIT = 100
_READ = (
    col(ExternalIdentity.id),
    col(ExternalIdentity.provider),
    col(ExternalIdentity.issuer),
    col(ExternalIdentity.subject),
    col(ExternalIdentity.created_at),
)


@dataclass(frozen=True, slots=True)
class Oidc:
    """Login with providers, and links. A transaction can be used once, whatever its outcome."""

    auth: Auth
    providers: Mapping[str, Provider]

    async def begin(self, name: str) -> OidcBegun:
        """Begin a login. Raises NotFound and Unavailable."""
        return await self._begin(name, None)

    async def begin_link(
        self, principal: Principal, name: str, password: str | None, origin: Origin
    ) -> OidcBegun:
        """Begin to link the account. Raises NotFresh, WrongPassword and EmailNotVerified."""
        self._provider(name)
        ownership.require_verified(self.auth, principal.user)
        confirmed = await self.auth.confirm_recent(principal, password, origin)
        return await self._begin(name, confirmed)

    async def finish(
        self, name: str, answer: OidcFinish, origin: Origin, *, refreshable: bool
    ) -> sessions.Grant:
        """Create a session for the user who returned from the provider.

        An identity without a link is linked to the account with its address, if the provider
        vouches for the address; if there is no such account, one is created. Raises
        InvalidChallenge, OidcRefused, EmailNotVouchedFor, AccountNotLinked, RegistrationClosed,
        EmailNotVerified and SecondFactorRequired.
        """
        identity, _ = await self._identify(name, answer, None)
        async with self.auth.database.transaction() as session:
            link = await _link_of(session, identity)
            if link is None:
                link = await self._settle(session, name, identity, origin)
        async with self.auth.database.read() as connection:
            found = await users.credentials(connection, user_id=link.user_id)
        if found is None or not found.is_active:
            raise OidcRefused
        authentication = Authentication(found, f"oidc:{name}", sessions.FEDERATED, link.id)
        try:
            return await self.auth.enter(authentication, origin, refreshable=refreshable)
        except AccountChanged as error:
            raise OidcRefused from error

    async def finish_link(
        self, principal: Principal, name: str, answer: OidcFinish, origin: Origin
    ) -> IdentityRead:
        """Link the caller's account. Raises Conflict if the identity is already linked.

        Raises AccountChanged if the account changed since `begin_link`.
        """
        identity, stored = await self._identify(name, answer, principal.user.id)
        confirmed = Confirmed.from_challenge(stored, principal.user.id, principal.session_id)
        async with self.auth.database.transaction() as session:
            ownership.require_verified(self.auth, await confirmed.recheck(session))
            return await _link(session, principal.user.id, name, identity, origin)

    async def read(self, principal: Principal) -> list[IdentityRead]:
        """The linked identities of the caller's account."""
        # An account has one identity per issuer; that unique index provides the order.
        mine = (
            select(*_READ)
            .where(col(ExternalIdentity.user_id) == principal.user.id)
            .order_by(col(ExternalIdentity.issuer))
            .limit(LIST_LIMIT)
            .subquery("mine")
        )
        async with self.auth.database.read() as connection:
            rows = (await connection.execute(select(mine).order_by(mine.c.id))).mappings()
            return [IdentityRead.model_validate(dict(row)) for row in rows]

    async def unlink(self, principal: Principal, identity_id: uuid.UUID, origin: Origin) -> None:
        """Remove a link. Raises NotFound, and NotFresh if the login is not recent.

        An owner without a password can set one by mail.
        """
        me = principal.user.id
        confirmed = await self.auth.confirm_recent(principal, None, origin)
        statement = (
            delete(ExternalIdentity)
            .where(col(ExternalIdentity.id) == identity_id, col(ExternalIdentity.user_id) == me)
            .returning(col(ExternalIdentity.provider))
        )
        async with self.auth.database.transaction() as session:
            await confirmed.recheck(session)
            provider = await session.scalar(statement)
            if provider is None:
                raise NotFound("The link does not exist")
            await audit.record(
                session,
                Action.IDENTITY_UNLINKED,
                origin,
                actor=me,
                subject=me,
                provider=provider,
            )

    def _provider(self, name: str) -> Provider:
        if name not in self.providers:
            raise NotFound("The provider does not exist")
        return self.providers[name]

    async def _begin(self, name: str, confirmed: Confirmed | None) -> OidcBegun:
        request = await self._provider(name).begin()
        transaction = await self.auth.challenges.issue(
            ChallengeKind.OIDC,
            {
                "provider": name,
                **(confirmed.to_challenge() if confirmed else {"user": None}),
                "begun": asdict(request),
            },
        )
        return OidcBegun(authorization_url=request.url, transaction=transaction)

    async def _identify(
        self, name: str, answer: OidcFinish, user_id: uuid.UUID | None
    ) -> tuple[Identity, dict[str, Any]]:
        """The identity that the provider returned, and the stored state."""
        provider = self._provider(name)
        stored = await self.auth.challenges.take(ChallengeKind.OIDC, answer.transaction)
        # Started with another provider (mix-up), by another account, or for another purpose.
        if (stored["provider"], stored["user"]) != (name, str(user_id) if user_id else None):
            raise InvalidChallenge
        identity = await provider.finish(
            AuthorizationRequest(**stored["begun"]),
            code=answer.code,
            state=answer.state,
            issuer=answer.iss,
        )
        return identity, stored

    async def _settle(
        self, session: AsyncSession, name: str, identity: Identity, origin: Origin
    ) -> "Link":
        """Link a new identity to the account with its address."""
        email = normal_email(identity.email) if identity.email else None
        if email is None:
            raise EmailNotVouchedFor
        known = await users.credentials(await session.connection(), email=email)
        if known is None:
            user_id = await self._new_account(session, name, email, origin)
        else:
            user_id = known.id
            await self._take_over(session, user_id, email, origin)
        made = await _link(session, user_id, name, identity, origin)
        return Link(made.id, user_id)

    async def _new_account(
        self, session: AsyncSession, name: str, email: str, origin: Origin
    ) -> uuid.UUID:
        """Create an account with a verified address, as from an invitation's link.

        Raises RegistrationClosed, and AccountNotLinked if the address was registered concurrently.
        """
        mode = self.auth.settings.registration
        invited = mode != "closed" and await invitations.accept_for(session, email)
        if mode == "closed" or (mode == "invite-only" and not invited):
            raise RegistrationClosed
        added = await users.add(session, email=email, password_hash=NO_PASSWORD, is_verified=True)
        if added is None:
            raise AccountNotLinked
        await audit.record(
            session, Action.REGISTERED, origin, subject=added, added="yes", by=f"oidc:{name}"
        )
        return added

    async def _take_over(
        self, session: AsyncSession, user_id: uuid.UUID, email: str, origin: Origin
    ) -> None:
        """Hand an account with an unverified address over to the owner of the address.

        Nothing that was set up in it remains: an attacker may have registered it. Raises
        AccountNotLinked for a superuser's account, and if the service sends no mail: an address can
        then be verified only at a provider, and existing users must not lose their accounts.
        """
        known = await users.locked(session, user_id)
        if known is None or known.email != email:
            raise AccountNotLinked
        if not known.is_active:
            raise OidcRefused
        if known.is_verified:
            return
        if known.is_superuser or not self.auth.mailer.enabled:
            raise AccountNotLinked
        await users.set_password(session, user_id, NO_PASSWORD)
        await ownership.hand_over(session, user_id, origin, actor=user_id)
        # Only after the commit, and so that no lock waits for Redis.
        after_commit(session, lambda: self.auth.throttle.forget(email))


@dataclass(frozen=True, slots=True)
class Link:
    """The link between an identity and an account."""

    id: uuid.UUID
    user_id: uuid.UUID


async def _link_of(session: AsyncSession, identity: Identity) -> Link | None:
    statement = select(col(ExternalIdentity.id), col(ExternalIdentity.user_id)).where(
        col(ExternalIdentity.issuer) == identity.issuer,
        col(ExternalIdentity.subject) == identity.subject,
    )
    row = (await (await session.connection()).execute(statement)).first()
    return Link(*row) if row else None


async def _link(
    session: AsyncSession, user_id: uuid.UUID, name: str, identity: Identity, origin: Origin
) -> IdentityRead:
    result = await session.exec(
        insert(ExternalIdentity)
        .values(
            id=uuid7(),
            user_id=user_id,
            issuer=identity.issuer,
            subject=identity.subject,
            provider=name,
        )
        .returning(*_READ)
    )
    added = IdentityRead.model_validate(dict(result.mappings().one()))
    await audit.record(
        session, Action.IDENTITY_LINKED, origin, actor=user_id, subject=user_id, provider=name
    )
    return added
