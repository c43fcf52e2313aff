"""Exports of accounts."""

from datetime import datetime

from pydantic import BaseModel


class ExportResult(BaseModel):
    """The URL of an archive, its size in bytes and its expiry."""

    href: str
    size: int
    expires_at: datetime
