"""Files in PostgreSQL, in chunks: neither writing nor reading holds a whole file in memory."""

import hashlib
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import NotFound
from fastapi_base.db.session import Database
from fastapi_base.models.privacy.file import File, FileChunk

CHUNK_BYTES = 262_144
_FOUND: tuple[Any, ...] = (col(File.id), col(File.name), col(File.size), col(File.digest))


class Writer:
    """Writes a file in a session's transaction, replacing the one with this name and owner."""

    def __init__(self, session: AsyncSession, file: File) -> None:
        self._session = session
        self._file = file
        self._digest = hashlib.sha256()
        self._waiting = bytearray()
        self._number = 0

    @classmethod
    async def begin(
        cls,
        session: AsyncSession,
        owner: uuid.UUID,
        file_id: uuid.UUID,
        name: str,
        keep: timedelta,
    ) -> Self:
        """Begin a file with this retention."""
        now = datetime.now(UTC)
        file = File(
            id=file_id,
            owner_id=owner,
            name=name,
            size=0,
            digest=b"",
            created_at=now,
            expires_at=now + keep,
        )
        same = (col(File.owner_id) == owner, col(File.name) == name)
        await session.exec(delete(File).where(*same))
        await session.exec(insert(File).values(file.model_dump()))
        return cls(session, file)

    async def write(self, data: bytes) -> None:
        """Append to the file."""
        self._waiting += data
        while len(self._waiting) >= CHUNK_BYTES:
            await self._add(bytes(self._waiting[:CHUNK_BYTES]))
            del self._waiting[:CHUNK_BYTES]

    async def end(self) -> File:
        """Finish the file."""
        if self._waiting:
            await self._add(bytes(self._waiting))
        self._file.digest = self._digest.digest()
        await self._session.exec(
            update(File)
            .where(col(File.id) == self._file.id)
            .values(size=self._file.size, digest=self._file.digest)
        )
        return self._file

    async def _add(self, data: bytes) -> None:
        chunk = {"file_id": self._file.id, "number": self._number, "data": data}
        await self._session.exec(insert(FileChunk).values(chunk))
        self._digest.update(data)
        self._file.size += len(data)
        self._number += 1


async def find(connection: AsyncConnection, owner: uuid.UUID, file_id: uuid.UUID) -> Row[Any]:
    """Id, name, size and digest of a file. Raises NotFound also if it is another's or expired."""
    statement = select(*_FOUND).where(
        col(File.id) == file_id, col(File.owner_id) == owner, col(File.expires_at) > func.now()
    )
    row = (await connection.execute(statement)).first()
    if row is None:
        raise NotFound("The file does not exist or has expired")
    return row


async def read(database: Database, file_id: uuid.UUID, size: int) -> AsyncIterator[bytes]:
    """The bytes of a file. No connection is held between two chunks, however slow the reader is.

    Raises NotFound if the file is replaced or removed before the end.
    """
    number = 0
    of_file = select(col(FileChunk.data)).where(col(FileChunk.file_id) == file_id)
    while size > 0:
        async with database.read() as connection:
            data = await connection.scalar(of_file.where(col(FileChunk.number) == number))
        if data is None:
            raise NotFound("The file was replaced or removed while being read")
        yield data
        size -= len(data)
        number += 1
