"""What may be kept of a reply (RFC 9111): one mark of a route says it.

A reply without a mark has `no-store`, by SecurityHeadersMiddleware. Where the answer is to be kept
and asked for again, see preconditions.py.
"""

from typing import Any

from fastapi import Depends, Response


def cache_control(**headers: str) -> Any:
    """`dependencies=[cache_control(...)]`: a mark that puts these fields into the route's reply."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}

    async def kept(response: Response) -> None:
        response.headers.update(fields)

    return Depends(kept)


# RFC 6749, 5.1. Compression leaves such a reply alone too: what is packed together can be guessed.
HOLDS_SECRET = cache_control(cache_control="no-store", pragma="no-cache")
