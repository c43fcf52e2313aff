"""Keyset pagination: pages start after a row, not at an offset.

`listing` declares what a list offers, `keyset` builds and runs the statements, `cursor` signs
positions, and `page` is the wire format. docs/decisions/0009 explains why no library is used.
"""

from fastapi_base.utils.pagination.cursor import CursorCodec, InvalidCursor, Position
from fastapi_base.utils.pagination.keyset import CompiledListing, fetch, first
from fastapi_base.utils.pagination.listing import (
    Listing,
    NotOffered,
    PageQuery,
    behind_prefix,
    starts_with,
)
from fastapi_base.utils.pagination.page import TOTAL_BOUND, Page

__all__ = [
    "TOTAL_BOUND",
    "CompiledListing",
    "CursorCodec",
    "InvalidCursor",
    "Listing",
    "NotOffered",
    "Page",
    "PageQuery",
    "Position",
    "behind_prefix",
    "fetch",
    "first",
    "starts_with",
]
