"""What other services look for at fixed paths (RFC 8615)."""

from typing import Any

from fastapi import APIRouter

from fastapi_base.api.caching import cache_control
from fastapi_base.api.deps import ResourcesDep

router = APIRouter(prefix="/.well-known", tags=["auth"])


@router.get(
    "/jwks.json",
    # Shorter than a rotation takes, and long enough to spare us most requests.
    dependencies=[cache_control(cache_control="public, max-age=300")],
    summary="Public keys of access tokens",
    description="A JSON Web Key Set (RFC 7517), by which other services check access tokens. Empty"
    " where tokens are signed with a shared secret.",
    response_description="The keys",
)
async def read_key_set(resources: ResourcesDep) -> dict[str, list[dict[str, Any]]]:
    """The keys that are accepted. A new one is here before it signs."""
    return resources.tokens.key_set()
