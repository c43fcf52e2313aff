"""Variables that look like settings but are not: misspelt, removed, or read only by a library.

Values are never shown.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from pydantic_settings import BaseSettings, DotEnvSettingsSource

from fastapi_base.core.config.section import SERVICE_LINK

# Celery reads these itself. They take precedence over its configuration and bypass validation.
_REFUSED = {
    "CELERY_BROKER_READ_URL": "set CELERY_BROKER_URL or REDIS_URL",
    "CELERY_BROKER_WRITE_URL": "set CELERY_BROKER_URL or REDIS_URL",
    "CELERY_RESULT_BACKEND": "results are stored in PostgreSQL",
}
_REMOVED = {
    "CELERY_BEAT_SCHEDULE_FILE": "the schedule is stored in PostgreSQL",
    "CELERY_PURGE_SECONDS": "the schedule defines when the purge runs",
    "CELERY_RESULT_EXPIRES": "set JOBS_KEEP_DAYS",
}
# libpq reads these, and the driver reads some of its other variables: without a word, a connection
# could be weaker than somebody asked for.
_NOT_READ = {
    "PGCHANNELBINDING": "set DATABASE_SSL_MODE=verify-full",
    "PGSSLMODE": "set DATABASE_SSL_MODE",
    "PGSSLROOTCERT": "set DATABASE_SSL_CA_FILE",
}
# Variables that Kubernetes and Docker set in each container for neighbouring services.
_LINK = re.compile(
    r"\w+_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(ADDR|PORT|PROTO))?|ENV_\w+)"
)
_LIKE_OURS, _LIKE_A_PREFIX = 0.75, 0.85


def refused(environ: Mapping[str, str] | None = None) -> list[str]:
    """A sentence for each variable that a library would read without validation."""
    environ = os.environ if environ is None else environ
    return [f"{name}: not supported; {why}" for name, why in _REFUSED.items() if environ.get(name)]


def unknown(known: Iterable[str], env_file: Path | str | None) -> tuple[str, ...]:
    """A sentence for each unknown variable, from environment and file, that resembles a setting.

    A name resembles a setting if it has the prefix of one, or is similar to one in `known`.
    """
    names = sorted(known)
    prefixes = tuple({name.partition("_")[0] + "_" for name in names if "_" in name})
    return tuple(
        sentence
        for name in sorted(set(_given(env_file)) - set(names))
        if (sentence := _sentence(name, names, prefixes))
    )


def _sentence(name: str, names: list[str], prefixes: tuple[str, ...]) -> str | None:
    if why := _REMOVED.get(name):
        return f"{name} is no longer a setting: {why}"
    if why := _NOT_READ.get(name):
        return f"{name} is not read; {why}"
    ours = name.startswith(prefixes)
    near = get_close_matches(name, names, 1, _LIKE_OURS if ours else _LIKE_A_PREFIX)
    if near:
        return f"{name} is not a setting; did you mean {near[0]}?"
    return f"{name} is not a setting; see .env.example" if ours else None


def _given(env_file: Path | str | None) -> Iterator[str]:
    in_file = {} if env_file is None else DotEnvSettingsSource(BaseSettings, env_file).env_vars
    for name, value in {**in_file, **os.environ}.items():
        if not _is_link(name.upper(), value or ""):
            yield name.upper()


def _is_link(name: str, value: str) -> bool:
    # Docker sets variables such as REDIS_NAME=/web/redis.
    return bool(
        _LINK.fullmatch(name)
        or SERVICE_LINK.match(value)
        or (name.endswith("_NAME") and value.startswith("/"))
    )
