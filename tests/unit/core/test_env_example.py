"""`.env.example` is the list of settings: all of them, with their defaults, and no others."""

from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import SecretStr

from fastapi_base.core.config import Settings, variable

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


def test_every_setting_is_explained() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for before, line in pairwise(lines):
        if line and not line.startswith("#"):
            assert before.startswith("# "), line


def test_the_example_can_be_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in defaults():
        monkeypatch.delenv(name, raising=False)
    assert Settings.load(env_file=EXAMPLE) == Settings.load(env_file=None)
