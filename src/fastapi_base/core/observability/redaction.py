"""Takes secrets and personal data out of what is logged: by a key's name, by a text's look.

The patterns are a second net. The first is that nothing hands such data to a log.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"
TOO_DEEP = "[too deep]"

_SECRET_KEY = re.compile(
    r"passw(or)?d|passphrase|secret|token|authorization|cookie|api[-_]?key|credential|dsn|e[-_]?mail",
    re.IGNORECASE,
)
_THEN = r"['\"]?\s*[:=,]\s*"
_NAMED = re.compile(
    r"\b((?:passw(?:or)?d|secret|[a-z_]*token|api[-_]?key|code)['\"]?\s*[:=]\s*['\"]?)[^&\s,;'\"]+",
    re.IGNORECASE,
)
# Each with what a text must hold to be worth a search; most texts hold none of them.
_SECRET_TEXT: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("://", re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"), REDACTED),
    (" ", re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE), rf"\1 {REDACTED}"),
    ("eyJ", re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), REDACTED),
    # A whole header, also as a pair in the text of a list: its form is for others to choose.
    ("ookie", re.compile(rf"(cookie{_THEN})[^\r\n]+", re.IGNORECASE), rf"\1{REDACTED}"),
    (
        "uthorization",
        re.compile(rf"(authorization{_THEN})[^\r\n]+", re.IGNORECASE),
        rf"\1{REDACTED}",
    ),
    ("=", _NAMED, rf"\1{REDACTED}"),
    (":", _NAMED, rf"\1{REDACTED}"),
    # API keys and one-time tokens of ours: core/opaque.py, core/api_key.py.
    ("_", re.compile(r"\b[a-z]{2,4}_[\w-]{43,}"), REDACTED),
    ("@", re.compile(r"[\w.%+'-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+"), REDACTED),
)


@lru_cache(1024)
def secret_key(key: str) -> bool:
    """Whether what stands under this name is hidden, whatever it is."""
    return bool(_SECRET_KEY.search(key))


def redact_text(value: str) -> str:
    """The text without what looks like a secret or an address of a person."""
    for hint, pattern, replacement in _SECRET_TEXT:
        if hint in value:
            value = pattern.sub(replacement, value)
    return value


def redact(value: Any, depth: int = 6) -> Any:
    """The value without secrets. What is deeper than `depth` is left out."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes):
        return redact_text(value.decode("utf-8", "replace"))
    if value is None or isinstance(value, bool | int | float):
        return value
    if not depth:
        return TOO_DEEP
    if isinstance(value, Mapping):
        return dict(_pair(*item, depth) for item in value.items())
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str | bytes):
        # A header of ASGI, say: the first names the second.
        return list(_pair(*value, depth))
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth - 1) for item in value]
    # What else is logged becomes its text, which may say anything.
    return redact_text(str(value))


def _pair(key: Any, value: Any, depth: int) -> tuple[str, Any]:
    name = key.decode("latin-1") if isinstance(key, bytes) else str(key)
    if secret_key(name):
        return name, REDACTED
    return redact_text(name), redact(value, depth - 1)
