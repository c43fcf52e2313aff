"""Log levels, by setting and at run time."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import ValidationError

from fastapi_base.core.config.observability import LogSettings
from fastapi_base.core.observability.log_levels import Levels
from fastapi_base.core.observability.logging import configure_logging
from ops.dev.waiting import until

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


def test_setting_sets_levels_of_single_loggers() -> None:
    configure_logging(LogSettings(levels=("chatty=ERROR", "chatty.part=DEBUG")))
    assert levels() == {"chatty": "ERROR", "chatty.part": "DEBUG", "quiet": "INFO"}


@pytest.mark.parametrize("wrong", ["chatty", "chatty=LOUD", "=INFO"])
def test_invalid_level_lists_the_valid_ones(wrong: str) -> None:
    with pytest.raises(ValidationError, match="must look like"):
        LogSettings(levels=(wrong,))


def test_file_changes_levels_at_run_time_and_restores_them(tmp_path: Path) -> None:
    file = tmp_path / "levels"
    settings = LogSettings(levels=("chatty=ERROR",), levels_file=file)
    configure_logging(settings)
    Levels(settings, interval=0.01).watch()

    def becomes(wanted: dict[str, str]) -> None:
        until(lambda: levels() == wanted, "the levels", 10, said=lambda: str(levels()), pause=0.01)

    file.write_text("# for the incident\nchatty=DEBUG\nquiet = WARNING\nnonsense\n")
    becomes({"chatty": "DEBUG", "chatty.part": "DEBUG", "quiet": "WARNING"})
    file.unlink()
    becomes({"chatty": "ERROR", "chatty.part": "ERROR", "quiet": "INFO"})
