"""The encryption key of stored secrets is rotated by settings and one command."""

import asyncio
import uuid

import pyotp
import pytest
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import create_async_engine
from typer.testing import CliRunner, Result

from fastapi_base.cli.main import app as commands
from fastapi_base.core.config import AuthSettings
from fastapi_base.core.ids import uuid7
from fastapi_base.core.security.encryption import Cipher
from fastapi_base.db.session import EngineDatabase
from fastapi_base.services.identity import totp, users

OLD, NEW = "old-key-" * 5, "new-key-" * 5


def cipher(key: str) -> Cipher:
    return Cipher(AuthSettings.model_validate({"encryption_key": key}))


def test_secrets_are_reencrypted(fresh_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(key: str, accepted: str) -> Result:
        monkeypatch.setenv("DATABASE_URL", fresh_database_url)
        monkeypatch.setenv("AUTH_ENCRYPTION_KEY", key)
        monkeypatch.setenv("AUTH_ENCRYPTION_ACCEPTED_KEYS", accepted)
        return CliRunner().invoke(commands, ["reencrypt"])

    database = EngineDatabase(create_async_engine(fresh_database_url, poolclass=NullPool))

    async def enrol() -> tuple[str, str]:
        async with database.transaction() as session:
            found = await users.add(session, email=f"{uuid7().hex}@example.com", password_hash="!")
            assert found
            return found.hex, await totp.enrol(session, cipher(OLD), found)

    async def code_fits(user: str, secret: str, key: str) -> bool:
        async with database.transaction() as session:
            code = pyotp.TOTP(secret).now()
            return await totp.use_code(session, cipher(key), uuid.UUID(user), code, confirming=True)

    user, secret = asyncio.run(enrol())
    failed = run(NEW, "")
    assert failed.exit_code == 1
    assert "AUTH_ENCRYPTION_ACCEPTED_KEYS" in failed.output
    assert "Secrets re-encrypted: 1" in run(NEW, OLD).output
    assert "Secrets re-encrypted: 0" in run(NEW, OLD).output
    assert asyncio.run(code_fits(user, secret, NEW))
