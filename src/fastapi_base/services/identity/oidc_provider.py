"""One identity provider: its endpoints, its answers, and their verification.

Authorization code flow with PKCE (RFC 7636), state and nonce (OpenID Connect Core 1.0). Of the
metadata that a provider publishes, only the members named here are used, and only if they belong to
the configured issuer.
"""

import hmac
import ssl
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2
import structlog
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.starlette_client import StarletteOAuth2App
from joserfc.errors import JoseError

from fastapi_base.core.config.oidc import OidcProvider
from fastapi_base.core.errors import OidcRefused, Unavailable
from fastapi_base.models.identity.external_identity import SUBJECT_LENGTH
from fastapi_base.schemas.text import unstorable

log = structlog.stdlib.get_logger(__name__)

_KEEP_SECONDS = 3600
_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
# Never `none`, and never a shared secret (RFC 8725, 3.1 and 3.2).
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """Where to redirect the browser, and the values that must match when it returns."""

    url: str
    state: str
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity at a provider. `email` is set only if the provider vouches for it."""

    issuer: str
    subject: str
    email: str | None


class Provider:
    """A configured provider. Its metadata is fetched on demand and cached for an hour.

    Its clock may differ by `skew` seconds. `verify` configures certificate verification; True is
    the default of httpx2.
    """

    def __init__(
        self,
        name: str,
        settings: OidcProvider,
        timeout: float,
        skew: int,
        verify: ssl.SSLContext | Literal[True] = True,
    ) -> None:
        self.name = name
        self.settings = settings
        self._timeout = timeout
        self._skew = skew
        self._verify = verify
        self._client: StarletteOAuth2App | None = None
        self._read_at = 0.0

    async def begin(self) -> AuthorizationRequest:
        """Begin an authorization request. Raises Unavailable."""
        client = await self._connected()
        made = await client.create_authorization_url(self.settings.redirect_uri)
        return AuthorizationRequest(
            made["url"], made["state"], made["nonce"], made["code_verifier"]
        )

    async def finish(
        self, request: AuthorizationRequest, *, code: str, state: str, issuer: str | None
    ) -> Identity:
        """The authenticated identity. Raises OidcRefused (reason in the log) and Unavailable."""
        if not hmac.compare_digest(state.encode(), request.state.encode()):
            raise self._refused("state does not match the transaction")
        client = await self._connected()
        self._check_issuer(client.server_metadata, issuer)
        try:
            token = await client.fetch_access_token(
                self.settings.redirect_uri, code=code, code_verifier=request.code_verifier
            )
            claims = await client.parse_id_token(
                token,
                request.nonce,
                claims_options={
                    "iss": {"essential": True, "value": self.settings.issuer},
                    "aud": {"essential": True, "value": self.settings.client_id},
                },
                leeway=self._skew,
            )
        except (AuthlibBaseError, JoseError) as error:
            raise self._refused(type(error).__name__) from error
        except httpx2.HTTPError as error:
            raise self._unavailable(error) from error
        except (ValueError, TypeError, KeyError) as error:
            # Or an error of this code: the log has its traceback.
            raise self._refused("its response is malformed", error) from error
        if claims is None:
            raise self._refused("there is no ID token")
        return self._identity(claims)

    def _identity(self, claims: dict[str, Any]) -> Identity:
        subject, email = claims.get("sub"), claims.get("email")
        if (
            not isinstance(subject, str)
            or not 0 < len(subject) <= SUBJECT_LENGTH
            or unstorable(subject)
        ):
            raise self._refused("its subject cannot be stored")
        # Exactly True: the string "false" is truthy.
        vouched = claims.get("email_verified") is True and isinstance(email, str)
        return Identity(self.settings.issuer, subject, email if vouched else None)

    def _check_issuer(self, metadata: dict[str, Any], issuer: str | None) -> None:
        """Mix-up defence: the response must come from this provider (RFC 9207, 2.4)."""
        promised = metadata.get("authorization_response_iss_parameter_supported") is True
        if (issuer is None and promised) or issuer not in (None, self.settings.issuer):
            raise self._refused("iss does not match the provider of the transaction")

    async def _connected(self) -> StarletteOAuth2App:
        now = time.monotonic()
        if self._client is None or now - self._read_at > _KEEP_SECONDS:
            self._client = StarletteOAuth2App(
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
                    "verify": self._verify,
                },
                **await self._discover(),
            )
            self._read_at = now
        return self._client

    async def _discover(self) -> dict[str, Any]:
        """The used part of the provider's metadata (OpenID Connect Discovery 1.0)."""
        url = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            async with httpx2.AsyncClient(timeout=self._timeout, verify=self._verify) as client:
                published = (await client.get(url)).raise_for_status().json()
        except (httpx2.HTTPError, ValueError) as error:
            raise self._unavailable(error) from error
        scheme = self.settings.issuer.partition(":")[0] + "://"
        if not isinstance(published, dict) or published.get("issuer") != self.settings.issuer:
            raise self._unavailable("its metadata names another issuer")
        if not all(str(published.get(name)).startswith(scheme) for name in _ENDPOINTS):
            raise self._unavailable("its metadata lacks endpoints")
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

    def _refused(self, reason: str, error: Exception | None = None) -> OidcRefused:
        said = "login through an identity provider failed"
        if error is None:
            log.info(said, provider=self.name, reason=reason)
        else:
            log.warning(said, provider=self.name, reason=reason, exc_info=error)
        return OidcRefused()

    def _unavailable(self, reason: object) -> Unavailable:
        log.warning("identity provider unavailable", provider=self.name, reason=str(reason))
        return Unavailable(f"The provider {self.name} does not answer")
