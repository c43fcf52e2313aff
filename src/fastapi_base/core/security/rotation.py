"""Instructions for operators to rotate the keys of access tokens while tokens are in use."""

import os
import secrets
from pathlib import Path

from fastapi_base.core.config import AuthSettings
from fastapi_base.core.security.signing import new_private_key, pem, public_key, read_private_key


def of_secrets(settings: AuthSettings) -> str:
    """The steps from the current secret to a new one."""
    old, new = settings.jwt_secret.get_secret_value(), secrets.token_urlsafe(48)
    return _steps(
        f"   AUTH_JWT_ACCEPTED_SECRETS={new}",
        f"   AUTH_JWT_SECRET={new}\n   AUTH_JWT_ACCEPTED_SECRETS={old}",
        "   AUTH_JWT_ACCEPTED_SECRETS=",
        settings.access_token_seconds,
    )


def of_key_pairs(settings: AuthSettings, folder: Path) -> str:
    """Write a new key pair and the accepted public keys to `folder`; returns the steps.

    Raises OSError, including FileExistsError: existing keys are never overwritten.
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
        f"1. Accept the new key in every process. Set this and restart all processes:\n{accept}\n"
        f"2. Sign with it and accept the old key. Set this and restart all processes:\n{sign}\n"
        f"3. After {seconds} seconds all tokens with the old signature have expired."
        f" Set this and restart all processes:\n{end}\n"
        "If the old key is compromised, do steps 2 and 3 at once. Current access tokens are then"
        " rejected, and clients get new ones with their refresh tokens."
    )
