"""Fill the database of a running `make up` with believable rows.

    make seed [ROWS=1000] [SEED=1]

Accounts and what they own, sessions, jobs in every state, audit events, a flag and statistics. The
same SEED gives the same rows; another SEED adds more. Every account has the same password, which is
printed at the end. E-mail addresses are below example.com.
"""

import asyncio
import os
import shlex
import sys
import time
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

from fastapi_base.core.config import ENV_FILE
from fastapi_base.core.config.base import AppSettings
from ops.dev.seed import fill

ROOT = Path(__file__).parents[3]
LEAST, MOST = 10, 1_000_000


class SeedError(RuntimeError):
    """The database was not filled; the message says why."""


def main(arguments: list[str]) -> int:
    """Takes ROWS and SEED, empty for their defaults. Returns 1 or 2 with a sentence."""
    if any(argument in ("-h", "--help") for argument in arguments):
        print(__doc__)
        return 0
    try:
        total, seed = _numbers(*(*arguments, "", "")[:2])
        url = _database()
        return _fill(url, total, seed)
    except SeedError as error:
        print(f"make seed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("make seed: interrupted; nothing was added", file=sys.stderr)
        return 130


def _numbers(rows: str, seed: str) -> tuple[int, int]:
    if not (rows or "1000").isascii() or not (rows or "1000").isdigit():
        raise SeedError(f"ROWS={rows}: must be a number from {LEAST} to {MOST}")
    total = int(rows or 1000)
    if not LEAST <= total <= MOST:
        raise SeedError(f"ROWS={rows}: must be from {LEAST} to {MOST}; another SEED adds more")
    if not (seed or "1").isascii() or not (seed or "1").isdigit() or len(seed) > 9:
        raise SeedError(f"SEED={seed}: must be a number from 0 to 999999999")
    return total, int(seed or 1)


def _database() -> str:
    """The database of `make up`, and never any other. Raises SeedError."""
    if AppSettings(_env_file=ENV_FILE).environment == "production":  # type: ignore[call-arg]
        raise SeedError("the settings say ENVIRONMENT=production, where nothing is seeded")
    file = Path(os.environ.get("UP_DATA") or ROOT / ".local") / "up.env"
    if not file.exists():
        raise SeedError(f"{file} does not exist: start the service with `make up` first")
    for line in file.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        if name == "DATABASE_URL":
            (url,) = shlex.split(value)
            return make_url(url).set(drivername="postgresql+asyncpg").render_as_string(False)
    raise SeedError(f"{file} has no DATABASE_URL: start `make up` again")


def _fill(url: str, total: int, seed: int) -> int:
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"seed: {text}", flush=True)

    try:
        counts = asyncio.run(fill.fill(url, total, seed, fill.every_second(say)))
    except fill.AlreadyThereError as error:
        say(f"{error}; nothing was added. SEED={seed + 1} adds more rows")
        return 0
    except asyncpg.UndefinedTableError:
        raise SeedError("the database lacks tables: restart `make up`, which migrates it") from None
    except OSError as error:
        raise SeedError(
            f"the database of `make up` does not answer ({error}): start `make up` first"
        ) from None
    added = ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in counts.items())
    say(f"added {added} in {time.monotonic() - begun:.0f} s")
    say(f"every account's password is '{fill.PASSPHRASE}'; the first one's e-mail address is")
    print(asyncio.run(fill.first(url, seed)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
