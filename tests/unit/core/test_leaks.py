"""Tries to get secrets and personal data into the log in every way that code can."""

import io
import json
import logging
import tracemalloc

import pytest
import structlog

from fastapi_base.core.config.observability import LogSettings
from fastapi_base.core.observability.logging import configure_logging
from fastapi_base.core.observability.redaction import secret_key
from fastapi_base.core.security import api_key, opaque

SECRET = "hunter2-correct-horse"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
EMAIL = "ada.lovelace+tag@mail.example.com"
HEADERS = [
    (b"authorization", f"Bearer {SECRET}".encode()),
    (b"cookie", f"__Host-session={SECRET}; theme=dark".encode()),
]


class Holder:
    """An object whose text reveals too much."""

    def __repr__(self) -> str:
        return f"Holder(password={SECRET}, to={EMAIL})"


@pytest.fixture(params=["json", "console"])
def log_format(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def fail(text: str) -> None:
    raise ValueError(text)


def test_nothing_leaks(lines: io.StringIO) -> None:
    ours, theirs = structlog.stdlib.get_logger("ours"), logging.getLogger("theirs")
    key, token = api_key.new_key().value, opaque.new_token("rt").value
    ours.info("a", password=SECRET, new_password=SECRET, refresh_token=SECRET, Authorization=SECRET)
    ours.info("b", headers=dict(HEADERS), raw=HEADERS, nested={"x": [{"set-cookie": SECRET}]})
    ours.info("c", email=EMAIL, user_email=EMAIL, text=f"mail to {EMAIL} failed")
    ours.info(f"d {JWT} {key} {token}", thing=Holder(), things=[Holder()])
    ours.info("e", deep={"a": {"b": {"c": {"d": {"e": {"token": SECRET}}}}}})
    ours.info("f %s", f"Set-Cookie: session={SECRET}; HttpOnly")
    theirs.warning("g %s %s", f"Authorization: Basic {SECRET}", HEADERS)
    theirs.warning("h url %s", f"https://x.example/cb?code={SECRET}&state=1&access_token={SECRET}")
    theirs.warning("i postgresql://app:%s@db/app", SECRET)
    theirs.warning("j password=%s; token = %s", SECRET, SECRET)
    for text in (f"cannot log {EMAIL} in", f"Bearer {JWT}", f"redis://:{SECRET}@cache/0"):
        try:
            fail(text)
        except ValueError:
            theirs.exception("k")
            ours.exception("l", error=ValueError(text))
    with structlog.contextvars.bound_contextvars(api_key=SECRET):
        theirs.warning("m")
    written = lines.getvalue()
    assert len(written.splitlines()) >= 17
    for secret in (SECRET, JWT, EMAIL, "ada.lovelace", key, token, "theme=dark"):
        assert secret not in written, secret


@pytest.mark.parametrize("format_", ["json", "console"])
@pytest.mark.parametrize(
    "evil",
    ["\n", "\r\n", "\x1b[2J", "\x9b2J", "\x85", "\u2028", "\x00", "\x08\x08"],
    ids=["lf", "crlf", "escape", "c1", "nel", "line-separator", "nul", "backspace"],
)
def test_callers_cannot_inject_lines_or_terminal_sequences(
    monkeypatch: pytest.MonkeyPatch, format_: str, evil: str
) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logging(LogSettings.model_validate({"format": format_}))
    forged = f'x{evil}{{"event":"request","status":200}}'
    structlog.stdlib.get_logger("ours").info(forged, path=forged, **{f"key{evil}x": 1})
    structlog.stdlib.get_logger("ours").info("in a list", paths=[forged])
    logging.getLogger("theirs").warning("asked for %s", forged)
    written = stream.getvalue()
    assert written.count("\n") == 3
    assert len(written.splitlines()) == 3
    if format_ == "json":
        assert json.loads(written.splitlines()[0])["path"] == forged
    assert evil not in written.replace("\n", "") or evil == "\n"


def test_long_names_are_checked_but_not_cached() -> None:
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for n in range(50):
            name = f"x-{'a' * 30_000}-{n}"
            assert not secret_key(name)
            assert secret_key(f"{name}-token")
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert kept < 500_000
