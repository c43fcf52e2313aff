"""Login with providers of identities (OpenID Connect), and links to them."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Path

from fastapi_base.api.caching import HOLDS_SECRET
from fastapi_base.api.delivery import DeliveryDep
from fastapi_base.api.deps import CurrentPrincipal, OriginDep, ResourcesDep
from fastapi_base.api.openapi import problems
from fastapi_base.core.errors import (
    AccountNotLinked,
    Conflict,
    CrossSiteRequest,
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
from fastapi_base.schemas.auth import CookieRead, Reauthentication, TokenRead
from fastapi_base.schemas.oidc import IdentityRead, OidcBegun, OidcFinish, ProviderRead

router = APIRouter(prefix="/auth/oidc", tags=["auth"])
links = APIRouter(prefix="/auth", tags=["auth"])
ProviderName = Annotated[str, Path(max_length=32, description="A name that /auth/oidc lists.")]
_BODY = (400, 413, 422, NotFound, InvalidChallenge, OidcRefused, Overloaded, Unavailable)


@router.get(
    "",
    summary="Which providers can one log in with?",
    description="Those that the settings name.",
    response_description="The providers",
)
async def read_providers(resources: ResourcesDep) -> list[ProviderRead]:
    """The providers."""
    return [
        ProviderRead(name=name, label=provider.settings.label or name)
        for name, provider in resources.providers.items()
    ]


@router.post(
    "/{provider}/begin",
    dependencies=[HOLDS_SECRET],
    summary="Begin a login at a provider",
    description="Send the browser to `authorization_url` and keep `transaction`. The provider sends"
    " the browser back to its page of ours, with `code` and `state`.",
    response_description="Where to go",
    responses=problems(422, NotFound, Overloaded, Unavailable),
)
async def begin_oidc_login(provider: ProviderName, resources: ResourcesDep) -> OidcBegun:
    """Where the browser goes."""
    return await resources.oidc.begin(provider)


@router.post(
    "/{provider}/finish",
    summary="Finish a login at a provider",
    description="With what the provider sent and the transaction, which is good once. Who is new"
    " gets the account of the address, when the provider vouches for it and so did its owner here.",
    response_description="An access token and a refresh token, or the token beside the cookie",
    responses=problems(
        *_BODY,
        SecondFactorRequired,
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
) -> TokenRead | CookieRead:
    """Exchange what the provider sent for a new session."""
    grant = await resources.oidc.finish(provider, body, origin, refreshable=delivery.refreshable)
    return await delivery.hand_over(grant)


@links.post(
    "/oidc/{provider}/link/begin",
    dependencies=[HOLDS_SECRET],
    summary="Begin to link my account to a provider",
    description="As for a login. Takes a recent login, or else the password.",
    response_description="Where to go",
    responses=problems(
        400,
        413,
        422,
        NotFound,
        NotAuthenticated,
        NotFresh,
        WrongPassword,
        TooManyAttempts,
        Overloaded,
        Unavailable,
    ),
)
async def begin_link(
    provider: ProviderName,
    body: Reauthentication,
    principal: CurrentPrincipal,
    resources: ResourcesDep,
    origin: OriginDep,
) -> OidcBegun:
    """Where the browser goes."""
    return await resources.oidc.begin_link(principal, provider, body.password, origin)


@links.post(
    "/oidc/{provider}/link/finish",
    status_code=201,
    summary="Link my account to a provider",
    description="With what the provider sent and the transaction, which is good once.",
    response_description="The link",
    responses=problems(*_BODY, NotAuthenticated, Conflict),
)
async def finish_link(
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
    summary="Which providers is my account linked to?",
    description="The oldest link first.",
    response_description="The links",
    responses=problems(NotAuthenticated, Overloaded, Unavailable),
)
async def read_identities(
    principal: CurrentPrincipal, resources: ResourcesDep
) -> list[IdentityRead]:
    """The links of the caller's account."""
    return await resources.oidc.read(principal)


@links.delete(
    "/identities/{identity_id}",
    status_code=204,
    summary="Unlink my account from a provider",
    description="Takes a recent login. Sessions that were begun there go on.",
    response_description="Unlinked",
    responses=problems(422, NotAuthenticated, NotFound, NotFresh, Overloaded, Unavailable),
)
async def unlink(
    identity_id: uuid.UUID, principal: CurrentPrincipal, resources: ResourcesDep, origin: OriginDep
) -> None:
    """Take one of the caller's links away."""
    await resources.oidc.unlink(principal, identity_id, origin)
