"""docker-compose.yml: development in containers, with keys generated for the checkout."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastapi_base.core.config import SettingsError, load_settings
from tests.unit.core.environment import clear

SERVICE = ("migrate", "admin", "api", "relay", "worker", "beat")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    clear(monkeypatch)


def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path("docker-compose.yml").read_text())["services"]
    return found


def made(file: Path) -> dict[str, str]:
    subprocess.run(["bash", "ops/images/keys.sh", str(file)], check=True)
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def test_keys_are_generated_once_and_readable_only_by_the_owner(tmp_path: Path) -> None:
    file = tmp_path / "new" / "compose.env"
    keys = made(file)
    assert set(keys) == {"AUTH_JWT_SECRET", "AUTH_ENCRYPTION_KEY"}
    assert len(set(keys.values())) == 2
    assert file.stat().st_mode & 0o777 == 0o600
    assert made(file) == keys


@pytest.mark.parametrize("name", SERVICE)
def test_each_process_requires_the_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    service = services()[name]
    assert service["env_file"] == [".local/compose.env"]
    # The command of the image, and the command of compose that replaces it.
    given = {"ENVIRONMENT": "production", "API_HOST": "0.0.0.0", **service["environment"]}  # noqa: S104
    for variable_, value in given.items():
        monkeypatch.setenv(variable_, str(value).replace("${POSTGRES_PASSWORD:-development}", "x"))
    monkeypatch.delenv("FIRST_ADMIN_EMAIL")
    with pytest.raises(SettingsError, match="AUTH_JWT_SECRET, AUTH_ENCRYPTION_KEY"):
        load_settings(env_file=None)
    for variable_, value in made(tmp_path / "compose.env").items():
        monkeypatch.setenv(variable_, value)
    assert load_settings(env_file=None).app.environment == "development"
