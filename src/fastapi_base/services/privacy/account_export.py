"""All data of an account as an archive for its owner (GDPR, articles 15 and 20): a job."""

import io
import uuid
import zipfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import IO, Any

import orjson
from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.messaging.queues import Queue
from fastapi_base.core.security.caller import Origin
from fastapi_base.schemas.privacy.export import ExportResult
from fastapi_base.services.audit import audit
from fastapi_base.services.audit.audit import Action
from fastapi_base.services.jobs.context import JobContext
from fastapi_base.services.jobs.enqueue import Enqueued, Unique, enqueue
from fastapi_base.services.jobs.errors import GiveUp
from fastapi_base.services.jobs.kinds import EmptyPayload, Kind
from fastapi_base.services.privacy import files
from fastapi_base.services.privacy.exported import EXPORTED, LEFT_OUT, Part

NAME = "export.zip"
ROWS_AT_ONCE = 500
EXPORT = Kind("account-export", EmptyPayload, queue=Queue.BULK)


async def request(session: AsyncSession, user_id: uuid.UUID, origin: Origin) -> Enqueued:
    """Request the archive. An unfinished request is reused."""
    unique = Unique(f"{EXPORT.name}:{user_id}")
    job = await enqueue(session, EXPORT, EmptyPayload(), owner=user_id, unique=unique)
    if job.fresh:
        await audit.record(session, Action.EXPORT_ASKED, origin, actor=user_id, subject=user_id)
    return job


async def run(job: JobContext, _: EmptyPayload) -> ExportResult:
    """Create the archive, replacing the previous one. Raises GiveUp if it would be too large."""
    assert job.owner_id
    made_at, keep = datetime.now(UTC), timedelta(days=job.settings.export.keep_days)
    about = {"account": str(job.owner_id), "made_at": made_at, "not_in_it": LEFT_OUT}
    writer = await files.Writer.begin(job.session, job.owner_id, job.id, NAME, keep)
    out = _Out(writer, job.settings.export.max_bytes)
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(_entry("about", made_at), orjson.dumps(about, option=orjson.OPT_INDENT_2))
        for number, part in enumerate(EXPORTED):
            await job.progress(number, len(EXPORTED), part.name)
            with archive.open(_entry(part.name, made_at), "w") as entry:
                await _rows(job, part, out, entry)
    await out.hand_over()
    file = await writer.end()
    href = f"{job.settings.api.path_prefix}/api/v1/users/me/exports/{file.id}"
    return ExportResult(href=href, size=file.size, expires_at=file.expires_at)


async def _rows(job: JobContext, part: Part, out: "_Out", entry: IO[bytes]) -> None:
    """Write the rows as a JSON array, one row per line."""
    assert job.owner_id
    statement = part.rows(job.owner_id).execution_options(yield_per=ROWS_AT_ONCE)
    connection = await job.session.connection()
    before = b"[\n"
    async with connection.stream(statement) as result:
        async for rows in result.partitions():
            lines = b",\n".join(orjson.dumps(dict(row._mapping), _text) for row in rows)
            out.count(entry.write(before + lines))
            await out.hand_over()
            before = b",\n"
    entry.write(b"\n]\n" if before == b",\n" else b"[]\n")


def _text(value: object) -> str:
    """Ids and decimals as text. Any other type raises: bytes cannot leak by mistake."""
    if not isinstance(value, uuid.UUID | Decimal):
        raise TypeError
    return str(value)


def _entry(name: str, made_at: datetime) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(f"{name}.json", made_at.timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


class _Out(io.RawIOBase):
    """The archive's output: buffers what the file does not have yet."""

    def __init__(self, writer: files.Writer, most: int) -> None:
        super().__init__()
        self._writer = writer
        self._left = most
        self._written = bytearray()

    def write(self, data: Any, /) -> int:
        """Called by the archive."""
        self._written += data
        return len(data)

    def count(self, size: int) -> None:
        """Count bytes before compression. Raises GiveUp if there are too many."""
        self._left -= size
        if self._left < 0:
            raise GiveUp("the export exceeds EXPORT_MAX_BYTES")

    async def hand_over(self) -> None:
        """Move the buffer to the file."""
        await self._writer.write(bytes(self._written))
        self._written.clear()
