"""Settings: read by section, and rejected with a sentence that names the variable."""

import pytest
from pydantic import ValidationError

from fastapi_base.core.config import Settings, SettingsError, load_settings
from tests.unit.core.environment import load

pytestmark = pytest.mark.usefixtures("clean_environment")

# begin slice: oidc
PROVIDER = (
    '{"a": {"issuer": "https://login.example.com", "client_id": "a",'
    ' "redirect_uri": "https://app.example.com/back"}}'
)
# end slice: oidc
SAFE = {
    "ENVIRONMENT": "production",
    "AUTH_JWT_SECRET": "a-secret-of-its-own-with-more-than-32-bytes",
    "AUTH_ENCRYPTION_KEY": "another-key-of-its-own-with-more-than-32-bytes",
    "OIDC_PROVIDERS": PROVIDER,  # slice: oidc
    "PASSKEY_RP_ID": "example.com",  # slice: passkeys
    "PASSKEY_ORIGINS": "https://app.example.com",  # slice: passkeys
    "DATABASE_URL": "postgresql://app:Tr0ub4dor-and-3@db:5432/app",
}


def test_defaults_run_a_development_service() -> None:
    settings = load_settings(env_file=None)
    assert settings.app.environment == "development"
    assert settings.api.host == "127.0.0.1"


def test_the_class_of_all_settings_loads_them() -> None:
    assert Settings.load(env_file=None) == load_settings(env_file=None)


def test_safe_production_settings_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, **SAFE)
    assert settings.app.environment == "production"
    assert (
        settings.database.url.get_secret_value()
        == "postgresql+asyncpg://app:Tr0ub4dor-and-3@db:5432/app"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTH_JWT_SECRET", ""),
        ("AUTH_JWT_SECRET", "development-only-and-quite-long-too-0123456789"),
        ("AUTH_JWT_SECRET", "short"),
        ("AUTH_ENCRYPTION_KEY", ""),
        ("AUTH_ENCRYPTION_KEY", "short"),
        ("AUTH_ENCRYPTION_KEY", SAFE["AUTH_JWT_SECRET"]),
        ("AUTH_ENCRYPTION_ACCEPTED_KEYS", "short"),
        ("AUTH_BCRYPT_ROUNDS", "4"),
        ("OIDC_PROVIDERS", '{"a": 1}'),  # slice: oidc
        ("OIDC_PROVIDERS", PROVIDER.replace('"a"', '"Bad name"', 1)),  # slice: oidc
        # begin slice: oidc
        ("OIDC_PROVIDERS", PROVIDER.replace("https://login.example.com", "http://example.com")),
        # end slice: oidc
        ("PASSKEY_ORIGINS", "http://app.example.com"),  # slice: passkeys
        ("PASSKEY_ORIGINS", "https://example.org"),  # slice: passkeys
        ("PASSKEY_ORIGINS", "https://badexample.com"),  # slice: passkeys
        ("PASSKEY_ORIGINS", ""),  # slice: passkeys
        ("DEBUG", "true"),
        ("API_CORS_ORIGINS", "https://app.example.com,*"),
        ("API_FORWARDED_ALLOW_IPS", "*"),
        ("DATABASE_URL", ""),
        ("DATABASE_URL", "postgresql://postgres:postgres@db/app"),
        ("DATABASE_URL", "postgresql://app@db/app"),
        ("FIRST_ADMIN_PASSWORD", "ChangeMe"),
        ("MAIL_FOLDER", "mails"),
        ("REDIS_SENTINELS", "sentinel-1"),
        ("REDIS_SENTINELS", "sentinel-1:0"),
        ("CELERY_BROKER_URL", "redis://127.0.0.1"),
        ("AUTH_REQUIRE_VERIFIED_EMAIL", "true"),
    ],
)
def test_production_refuses_unsafe_settings(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **{**SAFE, name: value})
    lines = str(caught.value).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("API_PORT", "80 80"),
        ("ENVIRONMENT", "live"),
        ("DATABASE_URL", "mysql://root@db/app"),
        ("DATABASE_URL", "postgresql://app:pw@db"),
        ("REDIS_URL", "localhost:6379"),
        ("AUTH_JWT_SECRET", "short"),
        ("FIRST_ADMIN_EMAIL", "nobody"),
        ("OPENAPI_SERVERS", "api.example.com"),
        ("OPENAPI_CONTACT_EMAIL", "nobody"),
    ],
)
def test_wrong_value_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **{name: value})
    assert str(caught.value).startswith(f"{name}: ")
    assert value not in str(caught.value).removeprefix(name)


def test_licence_of_the_api_needs_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"^OPENAPI_LICENSE_URL: also set OPENAPI_LICENSE_"):
        load(monkeypatch, OPENAPI_LICENSE_URL="https://example.com/licence")


@pytest.mark.parametrize(
    ("name", "value"),
    [("CELERY_VISIBILITY_TIMEOUT", "300"), ("CELERY_TASK_SOFT_TIME_LIMIT", "300")],
)
def test_time_limits_must_be_in_order(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: must be"):
        load(monkeypatch, **{name: value})


@pytest.mark.parametrize("name", ["FIRST_ADMIN_EMAIL", "MAIL_SENDER"])
def test_addresses_in_special_use_domains_need_a_setting(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: .* AUTH_EMAIL_ALLOW_SPECIAL_DOMAINS=true"):
        load(monkeypatch, **{name: "admin@corp.local"})
    with pytest.raises(SettingsError, match=f"^{name}: must be an e-mail address") as caught:
        load(monkeypatch, **{name: "admin@corp..local"})
    assert "AUTH_" not in str(caught.value)
    load(monkeypatch, **{name: "admin@corp.local", "AUTH_EMAIL_ALLOW_SPECIAL_DOMAINS": "true"})


def test_all_problems_are_reported_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, API_PORT="x", REDIS_URL="y")
    assert "API_PORT: " in str(caught.value)
    assert "REDIS_URL: " in str(caught.value)


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, API_CORS_ORIGINS="https://a.example, https://b.example")
    assert settings.api.cors_origins == ("https://a.example", "https://b.example")


def test_settings_are_frozen_and_hide_secrets() -> None:
    settings = load_settings(env_file=None)
    with pytest.raises(ValidationError):
        settings.api.port = 1
    assert "development-only" not in repr(settings)
    assert "postgres:postgres" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAIL_TLS", "none"),
        ("MAIL_LINK_BASE", "http://app.example.org"),
        ("MAIL_SENDER", "no-reply@example.com"),
        ("MAIL_USERNAME", "alone"),
    ],
)
def test_production_requires_safe_mail_settings(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    safe = {
        **SAFE,
        "MAIL_HOST": "mail.example.org",
        "MAIL_SENDER": "no-reply@example.org",
        "MAIL_LINK_BASE": "https://app.example.org",
        "AUTH_REQUIRE_VERIFIED_EMAIL": "true",
    }
    assert load(monkeypatch, **safe).mail.host == "mail.example.org"
    with pytest.raises(SettingsError, match=f"^{name}"):
        load(monkeypatch, **{**safe, name: value})
