"""Redacts secrets and personal data from log events, by key and by pattern.

The patterns are a second line of defence: code should not pass such data to a log at all.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"
TOO_DEEP = "[too deep]"
# Characters of one text. Most tracebacks are a tenth of this length.
LONGEST = 32_768
# Longer keys are not cached: client-controlled header names must not fill the memory.
_REMEMBERED = 128

_SECRET_KEY = re.compile(
    r"passw(or)?d|passphrase|secret|token|authorization|cookie|api[-_]?key|credential|dsn|e[-_]?mail",
    re.IGNORECASE,
)
_THEN = r"['\"]?\s*[:=,]\s*"
_NAMED = re.compile(
    r"\b((?:passw(?:or)?d|secret|[a-z_]*token|api[-_]?key|code)['\"]?\s*[:=]\s*['\"]?)[^&\s,;'\"]+",
    re.IGNORECASE,
)
# The first element is a cheap hint: only texts that contain it are searched with the pattern.
_SECRET_TEXT: tuple[tuple[str, re.Pattern[str], str], ...] = (
    ("://", re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"), REDACTED),
    (" ", re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]+", re.IGNORECASE), rf"\1 {REDACTED}"),
    # From the start of the word, and with one attempt per word: searching at each "eyJ" of a long
    # word would take quadratic time.
    ("eyJ", re.compile(r"(?<![\w-])(?>[\w-]*?\beyJ)[\w-]+\.[\w-]+\.[\w-]*"), REDACTED),
    # The whole header value, also as a name-value pair in the text of a list: its format may vary.
    ("ookie", re.compile(rf"(cookie{_THEN})[^\r\n]+", re.IGNORECASE), rf"\1{REDACTED}"),
    (
        "uthorization",
        re.compile(rf"(authorization{_THEN})[^\r\n]+", re.IGNORECASE),
        rf"\1{REDACTED}",
    ),
    ("=", _NAMED, rf"\1{REDACTED}"),
    (":", _NAMED, rf"\1{REDACTED}"),
    # PostgreSQL's detail of a violated constraint contains the values of the row and may span
    # several lines. In a traceback, the next exception follows it. The white space at the start of
    # a line excludes newlines, because searching the rest of the text at each one would take
    # quadratic time.
    (
        "DETAIL: ",
        re.compile(
            r"(?<=DETAIL: ).*?(?=\n[^\S\n]*HINT: |"
            r"\n(?:[^\S\n]|\|)*(?:The above exception|During handling)|\Z)",
            re.DOTALL,
        ),
        REDACTED,
    ),
    # API keys and single-use tokens: core/security/opaque.py, core/security/api_key.py.
    ("_", re.compile(r"\b[a-z]{2,4}_[\w-]{43,}"), REDACTED),
    ("@", re.compile(r"[\w.%+'-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+"), REDACTED),
)


def secret_key(key: str) -> bool:
    """Whether the value under this key is redacted regardless of its content."""
    return _known_key(key) if len(key) <= _REMEMBERED else _names_secret(key)


def _names_secret(key: str) -> bool:
    return bool(_SECRET_KEY.search(key))


_known_key = lru_cache(1024)(_names_secret)


def redact_text(value: str) -> str:
    """Replace secrets and e-mail addresses in the text.

    Only the beginning and the end of a text longer than LONGEST are kept.
    """
    if len(value) > LONGEST:
        value = _shortened(value)
    for hint, pattern, replacement in _SECRET_TEXT:
        if hint in value:
            value = pattern.sub(replacement, value)
    return value


def _shortened(value: str) -> str:
    """Cut out the middle, at a space and before the start of a line, so that no secret is split."""
    half = LONGEST // 2
    start, end = value[:half], value[-half:]
    start = start[: max(start.rfind(" "), start.rfind("\n")) + 1]
    _, _, end = end.partition("\n")
    return f"{start}\n[{len(value) - len(start) - len(end)} characters left out]\n{end}"


def redact(value: Any, depth: int = 6) -> Any:
    """The value without secrets. Values nested deeper than `depth` are replaced with TOO_DEEP."""
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
        # A name-value pair, such as an ASGI header.
        return list(_pair(*value, depth))
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, depth - 1) for item in value]
    # Any other object is logged as its text, which may contain anything.
    try:
        text = str(value)
    except Exception as error:
        text = f"[{type(value).__name__} without a text: {type(error).__name__}]"
    return redact_text(text)


def _pair(key: Any, value: Any, depth: int) -> tuple[str, Any]:
    name = key.decode("latin-1") if isinstance(key, bytes) else str(key)
    if secret_key(name):
        return name, REDACTED
    return redact_text(name), redact(value, depth - 1)
