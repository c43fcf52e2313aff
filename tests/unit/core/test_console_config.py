"""The setting of the console, and what the console shows of all settings."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from fastapi_base.core.config import Settings, load_settings
from fastapi_base.core.config.console import ConsoleSettings
from fastapi_base.core.config.console_shown import HIDDEN, shown


@pytest.mark.parametrize("path", ["", "/console", "/admin/pages", "/~ops", "/v1.2", "/apis"])
def test_free_paths_are_accepted(path: str) -> None:
    assert ConsoleSettings(path=path).path == path


@pytest.mark.parametrize(
    "path",
    ["console", "/console/", "/", "//x", "/a//b", "/../x", "/a/.", "/a b", "/ü", "/{x}"],
)
def test_other_texts_are_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="must be a path such as /console"):
        ConsoleSettings(path=path)


@pytest.mark.parametrize(
    "path", ["/api", "/api/console", "/docs", "/docs/x", "/health", "/openapi.json"]
)
def test_paths_of_the_api_are_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="must not be below /"):
        ConsoleSettings(path=path)


def test_secrets_are_hidden_and_sources_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secret = "a-secret-that-nobody-may-see-0123456789"
    # begin slice: oidc
    provider = (
        '{"one": {"issuer": "https://id.example.com", "client_id": "me",'
        f' "client_secret": "{secret}", "redirect_uri": "https://app.example.com/x"}}}}'
    )
    # end slice: oidc
    monkeypatch.setenv("AUTH_JWT_SECRET", secret)
    monkeypatch.setenv("AUTH_JWT_ACCEPTED_SECRETS", f"{secret},{secret}2")
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:{secret}@127.0.0.1/x")
    monkeypatch.setenv("OIDC_PROVIDERS", provider)  # slice: oidc
    monkeypatch.setenv("API_PORT", "8123")
    traces = f"http://collector:{secret}@127.0.0.1:4318/v1/traces?api-key={secret}&x=y"
    monkeypatch.setenv("TRACING_ENDPOINT", traces)
    file = tmp_path / ".env"
    file.write_text(f"API_PORT=1\nMAIL_SENDER_NAME=Shop\nHEALTH_TOKEN={secret}\n")
    found = {one.variable: one for one in shown(load_settings(env_file=file))}
    assert set(found) == Settings.variables()
    assert not [one for one in found.values() if secret in one.value]
    for name in ("AUTH_JWT_SECRET", "DATABASE_URL", "HEALTH_TOKEN"):
        assert found[name].value == HIDDEN
    endpoint = f"http://{HIDDEN}@127.0.0.1:4318/v1/traces?{HIDDEN}"
    assert found["TRACING_ENDPOINT"].value == endpoint
    assert f"client_secret={HIDDEN}" in found["OIDC_PROVIDERS"].value  # slice: oidc
    sources = {name: (found[name].value, found[name].source) for name in found}
    assert sources["API_PORT"] == ("8123", "environment")
    assert sources["MAIL_SENDER_NAME"] == ("Shop", "file")
    assert sources["API_WORKERS"] == ("0", "default")


def test_every_secret_of_the_models_is_hidden() -> None:
    for section in Settings.sections().values():
        for name, field in section.model_fields.items():
            named = any(word in name for word in ("password", "secret", "token", "key"))
            if named and field.annotation is str:
                pytest.fail(f"{section.__name__}.{name} is shown: make it a {SecretStr.__name__}")
