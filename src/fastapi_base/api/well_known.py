"""Resources at well-known URIs (RFC 8615)."""

from fastapi import APIRouter

from fastapi_base.api.dependencies.caching import cache_control
from fastapi_base.api.deps import ResourcesDep
from fastapi_base.schemas.identity.auth import KeySetRead

router = APIRouter(prefix="/.well-known", tags=["auth"])


@router.get(
    "/jwks.json",
    # Shorter than a key rotation, and long enough to avoid most requests.
    dependencies=[cache_control(cache_control="public, max-age=300")],
    summary="Public keys of access tokens",
    description="A JSON Web Key Set (RFC 7517) that other services use to verify access tokens. It"
    " is empty when tokens are signed with a shared secret.",
    response_description="The keys",
)
async def read_key_set(resources: ResourcesDep) -> KeySetRead:
    """The accepted keys. A new key is published before it signs."""
    return KeySetRead.model_validate(resources.tokens.key_set())
