"""Keyset pagination: pages that begin behind a row, not after a number of rows.

`keyset` makes and runs the statements, `cursor` seals positions, `page` is what goes over the wire.
docs/decisions tells why there is no library for it here.
"""

from fastapi_base.utils.pagination.cursor import CursorCodec, InvalidCursor, Position
from fastapi_base.utils.pagination.keyset import Listing, PageQuery, Walk, fetch
from fastapi_base.utils.pagination.page import Page

__all__ = [
    "CursorCodec",
    "InvalidCursor",
    "Listing",
    "Page",
    "PageQuery",
    "Position",
    "Walk",
    "fetch",
]
