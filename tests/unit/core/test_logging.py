"""Logs hold no secrets, and each line is machine-readable."""

import io
import json
import logging

import pytest
import structlog

from fastapi_base.core.observability.redaction import REDACTED, redact


@pytest.mark.parametrize(
    "key", ["password", "access_token", "Authorization", "set-cookie", "API_KEY"]
)
def test_values_under_sensitive_names_are_redacted(key: str) -> None:
    assert redact({"outer": [{key: "hunter2"}]}) == {"outer": [{key: REDACTED}]}


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://app:hunter2@db/app",
        "redis://:hunter2@cache/0",
        "Authorization: Bearer hunter2",
        "got eyJhbGciOiJIUzI1NiJ9.hunter2.hunter2 from a caller",
    ],
)
def test_secrets_in_texts_are_redacted(text: str) -> None:
    assert "hunter2" not in redact(text)
    assert REDACTED in redact(text)


def test_harmless_text_is_kept() -> None:
    assert redact("GET http://host:8000/a@b 200") == "GET http://host:8000/a@b 200"


def test_events_of_libraries_have_the_same_format(lines: io.StringIO) -> None:
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        structlog.stdlib.get_logger("ours").info("job %s", "done", password="hunter2", count=3)
        logging.getLogger("theirs").warning("connecting to %s", "redis://:hunter2@cache/0")
    ours, theirs = map(json.loads, lines.getvalue().splitlines())
    assert ours["event"] == "job done"
    assert ours["count"] == 3
    assert ours["password"] == REDACTED
    assert theirs["event"] == f"connecting to redis://{REDACTED}@cache/0"
    assert {ours["request_id"], theirs["request_id"]} == {"r-1"}
    assert (ours["level"], theirs["level"]) == ("info", "warning")


def test_exception_is_one_line_without_secrets(lines: io.StringIO) -> None:
    try:
        raise ValueError("cannot reach postgresql://app:hunter2@db/app")
    except ValueError:
        logging.getLogger("theirs").exception("failed")
    (line,) = lines.getvalue().splitlines()
    event = json.loads(line)
    assert "ValueError" in event["exception"]
    assert "hunter2" not in line
