"""Settings from an environment that holds only the variables that a test sets."""

import pytest

from fastapi_base.core.config import Settings, load_settings, variable


def clear(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the variables of all settings."""
    for section in Settings.sections().values():
        for field in section.model_fields:
            monkeypatch.delenv(variable(section, field), raising=False)


def load(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    """Load the settings with only these variables set. Raises SettingsError."""
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return load_settings(env_file=None)
