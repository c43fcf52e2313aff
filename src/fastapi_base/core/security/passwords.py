"""Password hashing: bcrypt over a keyed digest."""

import base64
import hashlib
import hmac
import unicodedata

import bcrypt

from fastapi_base.core.config import AuthSettings
from fastapi_base.core.runtime.executor import BoundedExecutor

# Identifies how the password was prepared, so that the scheme can change and old hashes stay valid.
_SCHEME = "hmac-sha256"
# Characters as typed. Unicode normalisation takes time quadratic in the length, so longer text is
# never processed.
PASSWORD_MAX = 256
_PEPPER = b"fastapi-base/password/1"


class PasswordHasher:
    """bcrypt over a keyed digest of the password, in dedicated threads.

    bcrypt reads at most 72 bytes and stops at a NUL; version 5 of the library raises for longer
    input. Rejecting such passwords would forbid passphrases (36 Cyrillic letters are 72 bytes).
    Therefore the password is hashed with HMAC-SHA-256 first, and bcrypt gets the 44 base64
    characters of the result: every byte counts. The HMAC key is not secret. It separates these
    digests from plain SHA-256 digests leaked elsewhere, which could otherwise be tried against
    these hashes ("password shucking"). Passwords are normalised to NFKC (NIST SP 800-63B, 5.1.1.2),
    so that different keyboards yield the same password.

    Work is bounded by PASSWORD_MAX characters: a longer text never matches, and costs as much as a
    wrong password.
    """

    def __init__(self, settings: AuthSettings) -> None:
        self._rounds = settings.bcrypt_rounds
        self._executor = BoundedExecutor(
            "hash", threads=settings.hash_threads, queue=settings.hash_queue, niceness=10
        )
        # A well-formed hash that matches no password; checking it costs as much as checking a real
        # one.
        self._nobody = f"{_SCHEME}$2b${self._rounds:02d}${'.' * 53}"

    @property
    def pending(self) -> int:
        """The number of hash operations that run or wait."""
        return self._executor.pending

    async def hash(self, password: str) -> str:
        """Hash a password with a new salt, to be stored. Raises Overloaded if too many wait."""
        return await self._executor.run(hash_password, password, self._rounds)

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether the password matches. Raises Overloaded if too many wait.

        Takes the same time if the account has no password or does not exist (`stored` is None).
        """
        usable = stored is not None and stored.startswith(_SCHEME + "$")
        known = stored if stored is not None and usable else self._nobody
        return await self._executor.run(verify_password, password, known) and usable

    def outdated(self, stored: str) -> bool:
        """Whether the hash has another cost or scheme than new hashes."""
        return not stored.startswith(f"{_SCHEME}$2b${self._rounds:02d}$")

    def close(self) -> None:
        """Stop the threads."""
        self._executor.close()


def hash_password(password: str, rounds: int) -> str:
    """Hash a password with a new salt. Blocks for about a quarter of a second at 12 rounds.

    Raises ValueError for more than PASSWORD_MAX characters.
    """
    if len(password) > PASSWORD_MAX:
        raise ValueError(f"a password has at most {PASSWORD_MAX} characters")
    return _SCHEME + bcrypt.hashpw(_digest(password), bcrypt.gensalt(rounds)).decode()


def verify_password(password: str, stored: str) -> bool:
    """Whether the password matches the hash. Blocks as long as hashing, whatever the length."""
    if not stored.startswith(_SCHEME + "$"):
        return False
    digest = _digest(password[:PASSWORD_MAX])
    fits = bcrypt.checkpw(digest, stored.removeprefix(_SCHEME).encode())
    return fits and len(password) <= PASSWORD_MAX


def _digest(password: str) -> bytes:
    # Lone surrogates yield a wrong password, not an error.
    normal = unicodedata.normalize("NFKC", password).encode(errors="surrogatepass")
    return base64.b64encode(hmac.digest(_PEPPER, normal, hashlib.sha256))
