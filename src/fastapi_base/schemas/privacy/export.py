"""Exports of accounts."""

from datetime import datetime

from pydantic import BaseModel


class ExportResult(BaseModel):
    """Where an archive is, how many bytes it has, and until when it is there."""

    href: str
    size: int
    expires_at: datetime
