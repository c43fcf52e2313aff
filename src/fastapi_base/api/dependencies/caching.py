"""Cache-Control of responses (RFC 9111), declared by one marker per route.

SecurityHeadersMiddleware adds `no-store` to a response without a marker. See preconditions.py for
responses that caches revalidate.
"""

from typing import Any

from fastapi import Depends, Response


def cache_control(**headers: str) -> Any:
    """`dependencies=[cache_control(...)]`: a marker that sets these fields of the response."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}

    async def kept(response: Response) -> None:
        response.headers.update(fields)

    return Depends(kept)


# RFC 6749, 5.1. The compression middleware skips such responses too (BREACH).
HOLDS_SECRET = cache_control(cache_control="no-store", pragma="no-cache")
