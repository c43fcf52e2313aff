"""Login with identity providers (OpenID Connect), and linked identities."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Path

from fastapi_base.api.dependencies.caching import HOLDS_SECRET
from fastapi_base.api.dependencies.delivery import DeliveryDep
from fastapi_base.api.deps import CurrentPrincipal, OriginDep, ResourcesDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    AccountChanged,
    AccountNotLinked,
    Conflict,
    CrossSiteRequest,
    EmailNotVerified,
    EmailNotVouchedFor,
    InvalidChallenge,
    NotAuthenticated,
    NotFound,
    NotFresh,
    OidcRefused,
    Overloaded,
    RegistrationClosed,
    SecondFactorRequired,
    TooManyAttempts,
    Unavailable,
    WrongPassword,
)
from fastapi_base.schemas.identity.auth import LoginResult, Reauthentication
from fastapi_base.schemas.identity.oidc import IdentityRead, OidcBegun, OidcFinish, ProviderRead

router = APIRouter(prefix="/auth/oidc", tags=["auth"])
links = APIRouter(prefix="/auth", tags=["auth"])
ProviderName = Annotated[str, Path(max_length=32, description="A provider name from /auth/oidc.")]
_BODY = (NotFound, InvalidChallenge, OidcRefused, Overloaded, Unavailable)


@router.get(
    "",
    summary="List identity providers",
    description="The configured providers.",
    response_description="The providers",
)
async def list_providers(resources: ResourcesDep) -> list[ProviderRead]:
    """The providers."""
    return [
        ProviderRead(name=name, label=provider.settings.label or name)
        for name, provider in resources.providers.items()
    ]


@router.post(
    "/{provider}/begin",
    dependencies=[HOLDS_SECRET],
    summary="Start a login through a provider",
    description="Redirect the browser to `authorization_url` and keep `transaction`. The provider"
    " redirects the browser to its `redirect_uri` with `code` and `state`.",
    response_description="The redirect",
    responses=problems(NotFound, Overloaded, Unavailable),
)
async def begin_oidc_login(provider: ProviderName, resources: ResourcesDep) -> OidcBegun:
    """Where to redirect the browser."""
    return await resources.oidc.begin(provider)


@router.post(
    "/{provider}/finish",
    summary="Complete a login through a provider",
    description="Takes the provider's response and the single-use transaction. A new identity is"
    " linked to the account of its e-mail address if the provider has verified the address. If the"
    " account's address was unverified, its credentials are removed; without a mail server the"
    " login is rejected instead. With invite-only registration, the address needs an open"
    " invitation.",
    response_description="An access token and a refresh token, or the CSRF token of the cookie",
    responses=problems(
        *_BODY,
        SecondFactorRequired,
        EmailNotVerified,
        EmailNotVouchedFor,
        RegistrationClosed,
        CrossSiteRequest,
        AccountNotLinked,
    ),
)
async def finish_oidc_login(
    provider: ProviderName,
    body: OidcFinish,
    resources: ResourcesDep,
    origin: OriginDep,
    delivery: DeliveryDep,
) -> LoginResult:
    """Exchange the provider's response for a new session."""
    grant = await resources.oidc.finish(provider, body, origin, refreshable=delivery.refreshable)
    return await delivery.hand_over(grant)


@links.post(
    "/oidc/{provider}/link/begin",
    dependencies=[HOLDS_SECRET],
    summary="Start linking my account to a provider",
    description="Works like a login. Requires recent authentication or the password.",
    response_description="The redirect",
    responses=problems(
        NotFound,
        NotAuthenticated,
        NotFresh,
        WrongPassword,
        EmailNotVerified,
        TooManyAttempts,
        Overloaded,
        Unavailable,
    ),
)
async def begin_oidc_link(
    provider: ProviderName,
    body: Reauthentication,
    principal: CurrentPrincipal,
    resources: ResourcesDep,
    origin: OriginDep,
) -> OidcBegun:
    """Where to redirect the browser."""
    return await resources.oidc.begin_link(principal, provider, body.password, origin)


@links.post(
    "/oidc/{provider}/link/finish",
    status_code=201,
    summary="Link my account to a provider",
    description="Takes the provider's response and the single-use transaction.",
    response_description="The link",
    responses=problems(*_BODY, NotAuthenticated, Conflict, AccountChanged),
)
async def finish_oidc_link(
    provider: ProviderName,
    body: OidcFinish,
    principal: CurrentPrincipal,
    resources: ResourcesDep,
    origin: OriginDep,
) -> IdentityRead:
    """Link the caller's account."""
    return await resources.oidc.finish_link(principal, provider, body, origin)


@links.get(
    "/identities",
    summary="List my linked providers",
    description="The oldest link first.",
    response_description="The links",
    responses=problems(NotAuthenticated, Overloaded, Unavailable),
)
async def list_identities(
    principal: CurrentPrincipal, resources: ResourcesDep
) -> list[IdentityRead]:
    """The links of the caller's account."""
    return await resources.oidc.read(principal)


@links.delete(
    "/identities/{identity_id}",
    status_code=204,
    summary="Unlink my account from a provider",
    description="Requires recent authentication. Sessions started with the provider continue.",
    response_description="Unlinked",
    responses=problems(
        NotAuthenticated, NotFound, NotFresh, AccountChanged, Overloaded, Unavailable
    ),
)
async def delete_identity(
    identity_id: uuid.UUID, principal: CurrentPrincipal, resources: ResourcesDep, origin: OriginDep
) -> None:
    """Remove one of the caller's links."""
    await resources.oidc.unlink(principal, identity_id, origin)
