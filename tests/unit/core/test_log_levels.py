"""Levels of loggers, by setting and while the service runs."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from fastapi_base.core.config_observability import LogSettings
from fastapi_base.core.log_levels import Levels
from fastapi_base.core.logging import configure_logging

NAMES = ("chatty", "chatty.part", "quiet")


@pytest.fixture(autouse=True)
def unset() -> Iterator[None]:
    yield
    for name in NAMES:
        logging.getLogger(name).setLevel(logging.NOTSET)
    configure_logging(LogSettings())


def levels() -> dict[str, str]:
    return {
        name: logging.getLevelName(logging.getLogger(name).getEffectiveLevel()) for name in NAMES
    }


def test_setting_names_single_loggers() -> None:
    configure_logging(LogSettings(levels=("chatty=ERROR", "chatty.part=DEBUG")))
    assert levels() == {"chatty": "ERROR", "chatty.part": "DEBUG", "quiet": "INFO"}


@pytest.mark.parametrize("wrong", ["chatty", "chatty=LOUD", "=INFO"])
def test_a_wrong_level_says_what_would_be_right(wrong: str) -> None:
    with pytest.raises(ValidationError, match="must look like"):
        LogSettings(levels=(wrong,))


def test_file_changes_levels_while_the_process_runs_and_gives_them_back(tmp_path: Path) -> None:
    file = tmp_path / "levels"
    settings = LogSettings(levels=("chatty=ERROR",), levels_file=file)
    configure_logging(settings)
    Levels(settings, interval=0.01).watch()

    def becomes(wanted: dict[str, str]) -> None:
        deadline = time.monotonic() + 10
        while levels() != wanted:
            assert time.monotonic() < deadline, levels()
            time.sleep(0.01)

    file.write_text("# for the incident\nchatty=DEBUG\nquiet = WARNING\nnonsense\n")
    becomes({"chatty": "DEBUG", "chatty.part": "DEBUG", "quiet": "WARNING"})
    file.unlink()
    becomes({"chatty": "ERROR", "chatty.part": "ERROR", "quiet": "INFO"})
