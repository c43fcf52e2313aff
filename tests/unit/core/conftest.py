"""Fixtures of several tests of the core."""

import io
from typing import Literal

import pytest

from fastapi_base.core.config.observability import LogSettings
from fastapi_base.core.observability.logging import configure_logging
from tests.unit.core.environment import clear


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without variables of settings."""
    clear(monkeypatch)


@pytest.fixture
def log_format() -> Literal["json", "console"]:
    """The format of `lines`; a module may have others."""
    return "json"


@pytest.fixture
def lines(log_format: Literal["json", "console"], monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Everything that is logged."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    configure_logging(LogSettings(format=log_format))
    return stream
