"""How keys of access tokens are changed while tokens are out: steps for the operator."""

import os
import secrets
from pathlib import Path

from fastapi_base.core.config import AuthSettings
from fastapi_base.core.signing import new_private_key, pem, public_key, read_private_key


def of_secrets(settings: AuthSettings) -> str:
    """Steps from the secret that is set to a new one."""
    old, new = settings.jwt_secret.get_secret_value(), secrets.token_urlsafe(48)
    return _steps(
        f"   AUTH_JWT_ACCEPTED_SECRETS={new}",
        f"   AUTH_JWT_SECRET={new}\n   AUTH_JWT_ACCEPTED_SECRETS={old}",
        "   AUTH_JWT_ACCEPTED_SECRETS=",
        settings.access_token_seconds,
    )


def of_key_pairs(settings: AuthSettings, folder: Path) -> str:
    """Write a new key pair, and the public keys of now and then; steps from one to the other.

    Raises OSError, FileExistsError among them: no key is ever written over.
    """
    assert settings.jwt_private_key_file
    now = read_private_key(settings.jwt_private_key_file, settings.jwt_algorithm)
    new = new_private_key(settings.jwt_algorithm)
    name = public_key(new.public_key()).id
    private, accepted = folder / f"{name}.pem", folder / f"{name}-accepted.pem"
    folder.mkdir(parents=True, exist_ok=True)
    _write(private, pem(new), mode=0o600)
    _write(accepted, pem(now.public_key()) + pem(new.public_key()), mode=0o644)
    return _steps(
        f"   AUTH_JWT_ACCEPTED_KEYS_FILE={accepted}",
        f"   AUTH_JWT_PRIVATE_KEY_FILE={private}\n   AUTH_JWT_ACCEPTED_KEYS_FILE={accepted}",
        "   AUTH_JWT_ACCEPTED_KEYS_FILE=",
        settings.access_token_seconds,
    )


def _write(file: Path, text: str, *, mode: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as opened:
        opened.write(text)


def _steps(accept: str, sign: str, end: str, seconds: int) -> str:
    return (
        f"1. Let every process accept the new key. Set, and restart them all:\n{accept}\n"
        f"2. Sign with it, and accept the old one. Set, and restart them all:\n{sign}\n"
        f"3. After {seconds} seconds no good token has the old signature."
        f" Set, and restart them all:\n{end}\n"
        "When the old key is known to others, do 2 and 3 at once: everybody's next request is"
        " refused, and their refresh token gets them a new access token."
    )
