"""The data export of an account: an archive for its owner, without secrets."""

import base64
import hashlib
import io
import json
import uuid
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import LargeBinary, insert, select, text, update
from sqlmodel import col

from fastapi_base.core.config import Settings
from fastapi_base.core.config.data import ExportSettings
from fastapi_base.db.session import EngineDatabase
from fastapi_base.models import (
    File,
    FileChunk,
    OneTimeToken,
    Passkey,  # slice: passkeys
    RecoveryCode,
    TotpFactor,
    User,
    metadata,
)
from fastapi_base.services.identity import lifecycle
from fastapi_base.services.privacy import files
from fastapi_base.services.privacy.exported import EXPORTED
from fastapi_base.services.privacy.purge import purge
from tests.integration.accounts import PASSWORD, authorization, log_in, new_user
from tests.integration.jobs.steps import work_off

pytestmark = pytest.mark.anyio

PATH = "/api/v1/users/me/exports"


@pytest.fixture
async def ada(client: httpx2.AsyncClient) -> httpx2.AsyncClient:
    """A logged-in client."""
    client.headers |= await new_user(client, "ada@example.com")
    return client


async def export(
    client: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> httpx2.Response:
    """The reply with the archive."""
    job = await work_off(database, settings, await client.post(PATH))
    assert job.state == "succeeded", job.error
    assert job.result["href"] == f"{PATH}/{job.id}"
    reply = await client.get(job.result["href"])
    assert reply.status_code == 200
    assert len(reply.content) == job.result["size"]
    return reply


async def test_url_of_an_archive_has_the_path_prefix(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    api = settings.api.model_copy(update={"path_prefix": "/shop"})
    below = settings.model_copy(update={"api": api})
    job = await work_off(database, below, await ada.post(PATH))
    assert job.result["href"] == f"/shop{PATH}/{job.id}"


def opened(content: bytes) -> dict[str, Any]:
    """The contents of the archive's files, by name."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        return {
            name.removesuffix(".json"): json.loads(archive.read(name))
            for name in archive.namelist()
        }


async def test_owner_gets_all_stored_data(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    await ada.patch("/api/v1/users/me", json={"display_name": "Ada \u00e9"})
    key = {"name": "nightly", "scopes": ["jobs:read"]}
    assert (await ada.post("/api/v1/api-keys", json=key)).status_code == 201
    word = await ada.post("/api/v1/jobs/word-count", json={"text": "a secret text"})
    await work_off(database, settings, word)
    # Nothing of other accounts.
    mine = dict(ada.headers)
    ada.headers |= await new_user(ada, "eve@example.com")
    assert (await ada.post("/api/v1/api-keys", json=key | {"name": "eve's"})).status_code == 201
    ada.headers |= mine

    reply = await export(ada, database, settings)
    found = opened(reply.content)
    assert set(found) == {"about", *(part.name for part in EXPORTED)}
    me = (await ada.get("/api/v1/users/me")).json()
    (account,) = found["account"]
    assert (account["id"], account["email"]) == (me["id"], "ada@example.com")
    assert account["display_name"] == "Ada \u00e9"
    assert [one["name"] for one in found["api-keys"]] == ["nightly"]
    assert [one["methods"] for one in found["sessions"]] == ["pwd"]
    jobs = {one["kind"]: one for one in found["jobs"]}
    assert jobs["word-count"]["result"]["words"] == 3
    assert jobs["account-export"]["state"] == "running"
    actions = [one["action"] for one in found["audit-events"]]
    assert {"account.registered", "api-key.created", "account.export-asked"} <= set(actions)
    assert {one["subject_id"] for one in found["audit-events"]} == {me["id"]}
    assert found["about"]["account"] == me["id"]
    assert "eve@" not in json.dumps(found)

    tag = f'"{hashlib.sha256(reply.content).hexdigest()}"'
    assert reply.headers["etag"] == tag
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["content-type"] == "application/zip"
    assert reply.headers["content-disposition"] == 'attachment; filename="export.zip"'
    assert reply.headers["accept-ranges"] == "none"
    assert reply.headers["content-length"] == str(len(reply.content))
    again = await ada.get(reply.request.url.path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


async def test_archive_holds_no_secret(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    tokens = (await log_in(ada, "ada@example.com")).json()
    key = {"name": "nightly", "scopes": ["jobs:read"]}
    made = (await ada.post("/api/v1/api-keys", json=key)).json()["key"]
    text_of_job = {"text": "what the payload holds"}
    await ada.post("/api/v1/jobs/word-count", json=text_of_job, headers={"Idempotency-Key": "k"})
    async with database.transaction() as session:
        me = await session.scalar(select(col(User.id)))
        assert me
        later = datetime.now(UTC) + timedelta(hours=1)
        for table, values in [
            (OneTimeToken, {"purpose": "verify", "email": "ada@example.com", "expires_at": later}),
            # begin slice: passkeys
            (Passkey, {"id": uuid.uuid4(), "sign_count": 0, "name": "key", "backed_up": True}),
            # end slice: passkeys
            (TotpFactor, {}),
            (RecoveryCode, {}),
        ]:
            columns = table.__table__.columns  # type: ignore[attr-defined]
            bytes_of = {
                column.key: f"the {column.key} of {table.__name__}".encode()
                for column in columns
                if isinstance(column.type, LargeBinary)
            }
            await session.exec(insert(table).values(user_id=me, **values, **bytes_of))
        secrets = {
            str(await session.scalar(select(col(User.password_hash)))).encode(),
            *(tokens[name].encode() for name in ("access_token", "refresh_token")),
            PASSWORD.encode(),
            made.encode(),
            ada.headers["authorization"].removeprefix("Bearer ").encode(),
            text_of_job["text"].encode(),
        }
        # Everything stored as bytes, in all forms in which bytes are written as text.
        stored = 0
        for each in metadata.tables.values():
            for column in each.columns:
                if isinstance(column.type, LargeBinary) and each.name != "file_chunks":
                    for value in await session.scalars(select(column)):
                        if value is not None:
                            stored += 1
                            secrets |= written(value)
    assert stored > 8

    content = (await export(ada, database, settings)).content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        plain = b"".join(archive.read(name) for name in archive.namelist())
    assert b"nightly" in plain
    assert [secret for secret in secrets if secret in plain] == []


def written(value: bytes) -> set[bytes]:
    coded = {base64.b64encode(value), base64.urlsafe_b64encode(value)}
    as_python_has_it = json.dumps(str(value))[1:-1].encode()
    return {value, as_python_has_it, value.hex().encode(), *(one.rstrip(b"=") for one in coded)}


async def test_data_about_other_accounts_is_excluded(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    me = (await ada.get("/api/v1/users/me")).json()["id"]
    async with database.transaction() as session:
        connection = await session.connection()
        for actor, subject in [(me, str(uuid.uuid4())), (str(uuid.uuid4()), me), (None, me)]:
            await connection.execute(
                text("""
                    INSERT INTO audit_events (id, action, actor_id, subject_id, address, details)
                    VALUES (gen_random_uuid(), 'tried', CAST(:actor AS uuid),
                        CAST(:subject AS uuid), '192.0.2.9', '{"changes": "x"}')
                """),
                {"actor": actor, "subject": subject},
            )
    found = opened((await export(ada, database, settings)).content)["audit-events"]
    assert {
        (one["actor_id"] == me, one["subject_id"] == me, one["address"], bool(one["details"]))
        for one in found
        if one["action"] == "tried"
    } == {
        (True, False, "192.0.2.9", False),
        (False, True, None, True),
        (False, True, "192.0.2.9", True),
    }


async def test_archive_is_available_only_to_its_owner_until_it_expires(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    url = (await export(ada, database, settings)).request.url.path
    mine = ada.headers["authorization"]
    body = {"name": "all", "scopes": ["profile:read", "jobs:read", "jobs:write"]}
    key = (await ada.post("/api/v1/api-keys", json=body)).json()["key"]
    eve = (await new_user(ada, "eve@example.com"))["Authorization"]
    for who, status in ((eve, 404), (f"Bearer {key}", 403), (mine, 200)):
        assert (await ada.get(url, headers={"Authorization": who})).status_code == status
    assert (await ada.get(f"{PATH}/{uuid.uuid4()}")).status_code == 404
    del ada.headers["authorization"]
    assert (await ada.get(url)).status_code == 401
    assert (await ada.post(PATH)).status_code == 401
    assert (await ada.post(PATH, headers=authorization(key))).status_code == 403

    assert (await purge(database, settings))["files"] == 0
    async with database.transaction() as session:
        await session.exec(update(File).values(expires_at=datetime.now(UTC)))
    assert (await ada.get(url, headers={"Authorization": mine})).status_code == 404
    assert (await purge(database, settings))["files"] == 1
    assert await count(database) == (0, 0)


async def count(database: EngineDatabase) -> tuple[int, int]:
    """The numbers of files and of chunks."""
    async with database.read() as connection:
        found = [len((await connection.execute(select(one))).all()) for one in (File, FileChunk)]
    return found[0], found[1]


async def test_new_archive_replaces_the_old_one(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    first, same = [await ada.post(PATH) for _ in range(2)]
    assert first.json()["id"] == same.json()["id"]
    await work_off(database, settings, first)
    second = await ada.post(PATH)
    assert second.json()["id"] != first.json()["id"]
    await work_off(database, settings, second)
    assert (await count(database))[0] == 1
    assert (await ada.get(f"{PATH}/{first.json()['id']}")).status_code == 404
    assert (await ada.get(f"{PATH}/{second.json()['id']}")).status_code == 200
    asked = "SELECT count(*) FROM audit_events WHERE action = 'account.export-asked'"
    async with database.read() as connection:
        assert await connection.scalar(text(asked)) == 2


async def test_oversized_export_fails_and_stores_nothing(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    small = settings.model_copy(update={"export": ExportSettings(max_bytes=1000)})
    job = await work_off(database, small, await ada.post(PATH))
    assert job.state == "failed"
    assert job.error == "the export exceeds EXPORT_MAX_BYTES"
    assert await count(database) == (0, 0)


async def test_archive_is_deleted_with_its_owner(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    await export(ada, database, settings)
    async with database.transaction() as session:
        await lifecycle.remove(session, [(await session.scalars(select(col(User.id)))).one()])
    assert await count(database) == (0, 0)


async def test_large_archives_are_written_and_read_in_chunks(
    ada: httpx2.AsyncClient, database: EngineDatabase, settings: Settings
) -> None:
    async with database.transaction() as session:
        connection = await session.connection()
        me = await connection.scalar(select(col(User.id)))
        # Incompressible texts.
        await connection.execute(
            text("""
                INSERT INTO jobs (id, kind, version, payload, queue, priority, max_attempts,
                    owner_id, state, result)
                SELECT gen_random_uuid(), 'any', 1, '{}', 'q', 0, 1, :me, 'succeeded',
                    jsonb_build_object('text', (
                        SELECT string_agg(md5(m || '-' || n), '' ORDER BY m)
                        FROM generate_series(1, 20) AS m
                    ))
                FROM generate_series(1, 3000) AS n
            """),
            {"me": me},
        )
    content = (await export(ada, database, settings)).content
    assert len(content) > 3 * files.CHUNK_BYTES
    assert len(opened(content)["jobs"]) == 3001
    async with database.read() as connection:
        sizes = list(
            await connection.scalars(text("SELECT length(data) FROM file_chunks ORDER BY number"))
        )
        file_id = await connection.scalar(select(col(File.id)))
    assert set(sizes[:-1]) == {files.CHUNK_BYTES}
    assert file_id
    blocks = [block async for block in files.read(database, file_id, sum(sizes))]
    assert [len(block) for block in blocks] == sizes
    assert b"".join(blocks) == content
