"""`.env.example` lists all settings with their defaults, and nothing else."""

from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import SecretStr

from fastapi_base.core.config import Settings, load_settings, variable

EXAMPLE = Path(".env.example")


def entries() -> dict[str, str]:
    lines = EXAMPLE.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def defaults() -> dict[str, str]:
    found = {}
    for section in Settings.sections().values():
        for name, field in section.model_fields.items():
            found[variable(section, name)] = written(field.get_default())
    return found


def written(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case tuple():
            return ",".join(value)
        case SecretStr():
            return value.get_secret_value()
    return str(value)


def test_names_and_defaults_agree() -> None:
    assert entries() == defaults()


def test_every_setting_has_a_comment() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for before, line in pairwise(lines):
        if line and not line.startswith("#"):
            assert before.startswith("# "), line


def test_example_is_valid_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in defaults():
        monkeypatch.delenv(name, raising=False)
    assert load_settings(env_file=EXAMPLE) == load_settings(env_file=None)
