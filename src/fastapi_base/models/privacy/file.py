"""Files that jobs create for the owner of an account."""

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, DateTime, ForeignKey, LargeBinary, String, text
from sqlmodel import Field, SQLModel

from fastapi_base.core.ids import uuid7
from fastapi_base.models import base

NAME_LENGTH = 100


class File(SQLModel, table=True):
    """A file, available until `expires_at`. `digest` is its SHA-256, `size` its length in bytes.

    It is stored in the database because jobs and API run on different machines.
    """

    __tablename__ = "files"
    metadata = base.metadata

    id: uuid.UUID = Field(default_factory=uuid7, primary_key=True)
    owner_id: uuid.UUID = Field(
        sa_column_args=[ForeignKey("users.id", ondelete="CASCADE")], index=True
    )
    name: str = Field(sa_type=String(NAME_LENGTH))
    size: int = Field(sa_type=BigInteger)
    digest: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(
        sa_type=DateTime(timezone=True), sa_column_kwargs={"server_default": text("now()")}
    )
    expires_at: datetime = Field(sa_type=DateTime(timezone=True), index=True)


class FileChunk(SQLModel, table=True):
    """A part of a file's content: neither writer nor reader holds more of it in memory."""

    __tablename__ = "file_chunks"
    metadata = base.metadata

    file_id: uuid.UUID = Field(
        sa_column_args=[ForeignKey("files.id", ondelete="CASCADE")], primary_key=True
    )
    number: int = Field(primary_key=True)
    data: bytes = Field(sa_type=LargeBinary)
