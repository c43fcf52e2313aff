"""One provider of identities: where it is, what it says, and whether that can be believed.

Authorization code flow with PKCE (RFC 7636), state and nonce (OpenID Connect Core 1.0). Of what a
provider publishes, only what is named here is used, and only where it belongs to the issuer that
the settings name.
"""

import hmac
import time
from dataclasses import dataclass, field
from typing import Any

import httpx2
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.base_client.async_app import AsyncOAuth2Mixin
from authlib.integrations.base_client.async_openid import AsyncOpenIDMixin
from authlib.integrations.base_client.sync_app import BaseApp
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc.errors import JoseError

from fastapi_base.core.config_login import OidcProvider
from fastapi_base.core.errors import OidcRefused, Unavailable
from fastapi_base.models.external_identity import SUBJECT_LENGTH

log = structlog.stdlib.get_logger(__name__)

_KEEP_SECONDS = 3600
_LEEWAY_SECONDS = 60
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
# Never `none`, and never a secret that both sides know (RFC 8725, 3.1 and 3.2).
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")


@dataclass(frozen=True, slots=True)
class Begun:
    """Where to send the browser, and what must match when it comes back."""

    url: str
    state: str
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is at a provider. `email` only where the provider vouches for it."""

    issuer: str
    subject: str
    email: str | None


class _Client(AsyncOAuth2Mixin, AsyncOpenIDMixin, BaseApp):  # type: ignore[misc]
    client_cls = AsyncOAuth2Client


class Provider:
    """A provider that the settings name. What it publishes is read when needed, kept an hour."""

    def __init__(self, name: str, settings: OidcProvider, timeout: float) -> None:
        self.name = name
        self.settings = settings
        self._timeout = timeout
        self._client: _Client | None = None
        self._read_at = 0.0

    async def begin(self) -> Begun:
        """A new request for authorization. Raises Unavailable."""
        client = await self._connected()
        made = await client.create_authorization_url(self.settings.redirect_uri)
        return Begun(made["url"], made["state"], made["nonce"], made["code_verifier"])

    async def finish(self, begun: Begun, *, code: str, state: str, issuer: str | None) -> Identity:
        """Who came back. Raises OidcRefused, with the reason in the log, and Unavailable."""
        if not hmac.compare_digest(state.encode(), begun.state.encode()):
            raise self._refused("state is not that of the transaction")
        client = await self._connected()
        self._check_issuer(client.server_metadata, issuer)
        try:
            token = await client.fetch_access_token(
                self.settings.redirect_uri, code=code, code_verifier=begun.code_verifier
            )
            claims = await client.parse_id_token(
                token,
                begun.nonce,
                claims_options={
                    "iss": {"essential": True, "value": self.settings.issuer},
                    "aud": {"essential": True, "value": self.settings.client_id},
                },
                leeway=_LEEWAY_SECONDS,
            )
        except (AuthlibBaseError, JoseError) as error:
            raise self._refused(type(error).__name__) from error
        except httpx2.HTTPError as error:
            raise self._away(error) from error
        except (ValueError, TypeError, KeyError) as error:
            raise self._refused("its answer is malformed") from error
        if claims is None:
            raise self._refused("there is no ID token")
        return self._identity(claims)

    def _identity(self, claims: dict[str, Any]) -> Identity:
        subject, email = claims.get("sub"), claims.get("email")
        if not isinstance(subject, str) or not 0 < len(subject) <= SUBJECT_LENGTH:
            raise self._refused("its subject cannot be kept")
        # Exactly true: "false" is a true text.
        vouched = claims.get("email_verified") is True and isinstance(email, str)
        return Identity(self.settings.issuer, subject, email if vouched else None)

    def _check_issuer(self, metadata: dict[str, Any], issuer: str | None) -> None:
        """Against mix-up: the answer names the provider that was asked (RFC 9207, 2.4)."""
        promised = metadata.get("authorization_response_iss_parameter_supported") is True
        if (issuer is None and promised) or issuer not in (None, self.settings.issuer):
            raise self._refused("iss is not that of the provider that was asked")

    async def _connected(self) -> _Client:
        now = time.monotonic()
        if self._client is None or now - self._read_at > _KEEP_SECONDS:
            self._client = _Client(
                None,
                self.name,
                client_id=self.settings.client_id,
                client_secret=self.settings.client_secret.get_secret_value()
                if self.settings.client_secret
                else None,
                client_kwargs={
                    "scope": " ".join(self.settings.scopes),
                    "code_challenge_method": "S256",
                    "token_endpoint_auth_method": "client_secret_basic"
                    if self.settings.client_secret
                    else "none",
                    "timeout": self._timeout,
                },
                **await self._discover(),
            )
            self._read_at = now
        return self._client

    async def _discover(self) -> dict[str, Any]:
        """What the provider publishes (OpenID Connect Discovery 1.0), as far as it is used."""
        url = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            async with httpx2.AsyncClient(timeout=self._timeout) as client:
                published = (await client.get(url)).raise_for_status().json()
        except (httpx2.HTTPError, ValueError) as error:
            raise self._away(error) from error
        scheme = self.settings.issuer.partition(":")[0] + "://"
        if not isinstance(published, dict) or published.get("issuer") != self.settings.issuer:
            raise self._away("it says that it is another issuer")
        if not all(str(published.get(name)).startswith(scheme) for name in _ENDPOINTS):
            raise self._away("it does not say where its endpoints are")
        offered = published.get("id_token_signing_alg_values_supported") or ["RS256"]
        return {
            "issuer": self.settings.issuer,
            **{name: published[name] for name in _ENDPOINTS},
            "id_token_signing_alg_values_supported": [
                name for name in _ALGORITHMS if name in offered
            ],
            "authorization_response_iss_parameter_supported": published.get(
                "authorization_response_iss_parameter_supported"
            ),
        }

    def _refused(self, reason: str) -> OidcRefused:
        log.info("login at a provider was refused", provider=self.name, reason=reason)
        return OidcRefused()

    def _away(self, reason: object) -> Unavailable:
        log.warning("a provider does not answer", provider=self.name, reason=str(reason))
        return Unavailable(f"The provider {self.name} does not answer")
