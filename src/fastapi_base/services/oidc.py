"""Login with providers of identities, and the links between their accounts and ours."""

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import delete, insert, select
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.caller import Origin
from fastapi_base.core.errors import (
    AccountNotLinked,
    EmailNotVouchedFor,
    InvalidChallenge,
    NotFound,
    OidcRefused,
    RegistrationClosed,
)
from fastapi_base.core.ids import uuid7
from fastapi_base.models.external_identity import ExternalIdentity
from fastapi_base.schemas.oidc import IdentityRead, OidcBegun, OidcFinish
from fastapi_base.schemas.user import normal_email
from fastapi_base.services import audit, sessions, users
from fastapi_base.services.audit import Action
from fastapi_base.services.auth import Auth, Principal
from fastapi_base.services.challenges import Kind
from fastapi_base.services.oidc_provider import Begun, Identity, Provider

# Matched by no password; see core.security.verify_password.
NO_PASSWORD = "!"
_READ = (
    col(ExternalIdentity.id),
    col(ExternalIdentity.provider),
    col(ExternalIdentity.issuer),
    col(ExternalIdentity.subject),
    col(ExternalIdentity.created_at),
)


@dataclass(frozen=True, slots=True)
class Oidc:
    """Login and links. A transaction is good once, whatever comes of it."""

    auth: Auth
    providers: Mapping[str, Provider]

    async def begin(self, name: str) -> OidcBegun:
        """Begin a login. Raises NotFound and Unavailable."""
        return await self._begin(name, None)

    async def begin_link(
        self, principal: Principal, name: str, password: str | None, origin: Origin
    ) -> OidcBegun:
        """Begin to link the caller's account. Raises NotFresh, WrongPassword too."""
        self._provider(name)
        await self.auth.confirm_recent(principal, password, origin)
        return await self._begin(name, principal.user.id)

    async def finish(
        self, name: str, answer: OidcFinish, origin: Origin, *, refreshable: bool
    ) -> sessions.Grant:
        """A new session for who came back.

        An identity that is not linked yet is linked to the account of its address, when the
        provider vouches for the address and so did its owner here; where no account has it, one is
        made. Raises InvalidChallenge, OidcRefused, EmailNotVouchedFor, AccountNotLinked, and
        SecondFactorRequired.
        """
        identity = await self._identify(name, answer, None)
        async with self.auth.database.transaction() as session:
            user_id = await _owner(session, identity)
            if user_id is None:
                user_id = await self._settle(session, name, identity, origin)
        async with self.auth.database.read() as connection:
            found = await users.credentials(connection, user_id=user_id)
        if found is None or not found.is_active:
            raise OidcRefused
        by = f"oidc:{name}"
        await self.auth.ask_second_factor(found, origin, by=by, methods=sessions.FEDERATED)
        return await self.auth.begin(
            user_id, origin, by=by, methods=sessions.FEDERATED, refreshable=refreshable
        )

    async def finish_link(
        self, principal: Principal, name: str, answer: OidcFinish, origin: Origin
    ) -> IdentityRead:
        """Link the caller's account. Raises Conflict for an identity that is somebody's already."""
        identity = await self._identify(name, answer, principal.user.id)
        async with self.auth.database.transaction() as session:
            return await _link(session, principal.user.id, name, identity, origin)

    async def read(self, principal: Principal) -> list[IdentityRead]:
        """What the caller's account is linked to."""
        statement = select(*_READ).where(col(ExternalIdentity.user_id) == principal.user.id)
        async with self.auth.database.read() as connection:
            rows = (
                await connection.execute(statement.order_by(col(ExternalIdentity.id)))
            ).mappings()
            return [IdentityRead.model_validate(dict(row)) for row in rows]

    async def unlink(self, principal: Principal, identity_id: uuid.UUID, origin: Origin) -> None:
        """Take a link away. Raises NotFound, and NotFresh after a login long ago.

        Who has no password can still set one by mail.
        """
        me = principal.user.id
        await self.auth.confirm_recent(principal, None, origin)
        statement = (
            delete(ExternalIdentity)
            .where(col(ExternalIdentity.id) == identity_id, col(ExternalIdentity.user_id) == me)
            .returning(col(ExternalIdentity.provider))
        )
        async with self.auth.database.transaction() as session:
            provider = await session.scalar(statement)
            if provider is None:
                raise NotFound("There is no such link")
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
            raise NotFound("There is no such provider")
        return self.providers[name]

    async def _begin(self, name: str, user_id: uuid.UUID | None) -> OidcBegun:
        begun = await self._provider(name).begin()
        transaction = await self.auth.challenges.issue(
            Kind.OIDC,
            {
                "provider": name,
                "user": str(user_id) if user_id else None,
                "begun": asdict(begun),
            },
        )
        return OidcBegun(authorization_url=begun.url, transaction=transaction)

    async def _identify(self, name: str, answer: OidcFinish, user_id: uuid.UUID | None) -> Identity:
        provider = self._provider(name)
        stored = await self.auth.challenges.take(Kind.OIDC, answer.transaction)
        # Begun with another provider (mix-up), by another account, or for another purpose.
        if (stored["provider"], stored["user"]) != (name, str(user_id) if user_id else None):
            raise InvalidChallenge
        return await provider.finish(
            Begun(**stored["begun"]), code=answer.code, state=answer.state, issuer=answer.iss
        )

    async def _settle(
        self, session: AsyncSession, name: str, identity: Identity, origin: Origin
    ) -> uuid.UUID:
        """The account of an identity that is new here."""
        email = normal_email(identity.email) if identity.email else None
        if email is None:
            raise EmailNotVouchedFor
        known = await users.credentials(await session.connection(), email=email)
        if known is not None:
            if not known.is_verified:
                # Whoever registered the address first may not own it, and would get into the
                # account that its owner goes on to use.
                raise AccountNotLinked
            user_id = known.id
        else:
            if self.auth.settings.registration == "closed":
                raise RegistrationClosed
            added = await users.add(
                session, email=email, password_hash=NO_PASSWORD, is_verified=True
            )
            if added is None:  # somebody registered it at this moment
                raise AccountNotLinked
            user_id = added
            await audit.record(
                session, Action.REGISTERED, origin, subject=user_id, added="yes", by=f"oidc:{name}"
            )
        await _link(session, user_id, name, identity, origin)
        return user_id


async def _owner(session: AsyncSession, identity: Identity) -> uuid.UUID | None:
    return await session.scalar(
        select(col(ExternalIdentity.user_id)).where(
            col(ExternalIdentity.issuer) == identity.issuer,
            col(ExternalIdentity.subject) == identity.subject,
        )
    )


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
