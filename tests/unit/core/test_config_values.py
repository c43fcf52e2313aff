"""Values as people write them: normalised, or rejected with the variable's name."""

from pathlib import Path
from typing import Any

import pytest

from fastapi_base.core.config import Settings, SettingsError, load_settings, variable
from tests.unit.core.environment import load
from tests.unit.core.test_config import (
    PROVIDER,  # slice: oidc
    SAFE,
)

pytestmark = pytest.mark.usefixtures("clean_environment")

# URLs of servers that are reached only by TCP but name a local socket.
SOCKETS = {
    "REDIS_URL": "redis://%2Fsock/0",
    "CELERY_BROKER_URL": "amqp://guest:guest@%2Fsock/vhost",
    "SENTRY_DSN": "https://key@%2Fsock/1",
    "TRACING_ENDPOINT": "http://%2Fsock/v1/traces",
    "OIDC_PROVIDERS": PROVIDER.replace("app.example.com", "%2Fsock"),  # slice: oidc
    "MAIL_LINK_BASE": "https://%2Fsock",
    "API_CORS_ORIGINS": "https://%2Fsock",
}


def value(settings: Settings, name: str) -> Any:
    """The value of the setting that a variable sets."""
    for part, section in Settings.sections().items():
        for field in section.model_fields:
            if variable(section, field) == name:
                return getattr(getattr(settings, part), field)
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("API_TRUSTED_HOSTS", "a.example:8000", ("a.example",)),
        ("API_TRUSTED_HOSTS", "https://A.Example/, b.example.", ("a.example", "b.example")),
        ("API_TRUSTED_HOSTS", "*.Example.com:443", ("*.example.com",)),
        ("API_TRUSTED_HOSTS", "bücher.example", ("xn--bcher-kva.example",)),
        ("API_TRUSTED_HOSTS", "[::1]:8000,::1", ("[::1]",)),
        ("API_TRUSTED_HOSTS", "10.0.0.7:80", ("10.0.0.7",)),
        ("API_TRUSTED_HOSTS", '["a.example", "b.example"]', ("a.example", "b.example")),
        ("API_TRUSTED_HOSTS", "a.example,,b.example, ", ("a.example", "b.example")),
        ("API_TRUSTED_HOSTS", '"a.example","b.example"', ("a.example", "b.example")),
        ("API_CORS_ORIGINS", "https://A.example/", ("https://a.example",)),
        ("API_CORS_ORIGINS", "https://a.example:443", ("https://a.example",)),
        ("API_CORS_ORIGINS", "http://[::1]:3000", ("http://[::1]:3000",)),
        ("API_CORS_ORIGINS", "https://bücher.example", ("https://xn--bcher-kva.example",)),
        ("API_CORS_ORIGINS", "*", ("*",)),
        ("API_CORS_ORIGINS", "[]", ()),
        ("API_FORWARDED_ALLOW_IPS", "10.0.0.0/8, [::1]", ("10.0.0.0/8", "::1/128")),
        ("API_FORWARDED_ALLOW_IPS", "10.0.0.1,*", ("*",)),
        ("RATE_LIMIT_EXEMPT", "10.0.0.7/8,2001:DB8::/32", ("10.0.0.0/8", "2001:db8::/32")),
        ("API_HOST", "LOCALHOST", "localhost"),
        ("API_HOST", "[::1]", "::1"),
        ("METRICS_HOST", "[::]", "::"),
        ("MAIL_HOST", "Mail.Example.com.", "mail.example.com"),
        ("MAIL_SENDER", "no-reply@bücher.example", "no-reply@xn--bcher-kva.example"),
        ("MAIL_LINK_BASE", "HTTPS://App.Example.com/a/", "https://app.example.com/a/"),
        ("PASSKEY_RP_ID", "Example.com.", "example.com"),  # slice: passkeys
        # begin slice: passkeys
        ("PASSKEY_ORIGINS", "https://App.example.com:443/", ("https://app.example.com",)),
        # end slice: passkeys
        ("REDIS_SENTINELS", "One:26379, [::1]:26380", ("one:26379", "[::1]:26380")),
        ("DATABASE_POOL_SIZE", " 7\r", 7),
        ("DATABASE_POOL_SIZE", "'7'", 7),
        ("API_DOCS", "Off", False),
        ("API_DOCS", " NO ", False),
        ("LOG_FORMAT", '"json"\r', "json"),
        ("AUTH_JWT_ISSUER", '""', "fastapi-base"),
        ("AUTH_JWT_ISSUER", " \t", "fastapi-base"),
        ("API_PORT", "tcp://10.0.0.1:80", 8000),
        ("MAIL_PORT", "tcp://10.0.0.1:587", 587),
        ("METRICS_PORT", "tcp://10.0.0.1:9464", 0),
    ],
)
def test_accepted_values(
    monkeypatch: pytest.MonkeyPatch, name: str, given: str, taken: Any
) -> None:
    monkeypatch.setenv("PASSKEY_ORIGINS", "https://example.com")  # slice: passkeys
    assert value(load(monkeypatch, **{name: given}), name) == taken


@pytest.mark.parametrize(
    ("name", "given"),
    [
        *(
            ("API_TRUSTED_HOSTS", given)
            for given in (
                "a.example/path",
                "*example.com",
                "a.*.com",
                "*.",
                "a b",
                ",",
                "[]",
                "straße.de",
            )
        ),
        *(("API_TRUSTED_HOSTS", given) for given in ("a.example:http", "ftp://a.example", '["a"')),
        *(
            ("API_CORS_ORIGINS", given)
            for given in ("a.example", "https://a.example/path", "null", "https://*.a.example")
        ),
        *(
            ("API_CORS_ORIGINS", given)
            for given in ("https://u:p@a.example", "https://a.example?b")
        ),
        *(("API_FORWARDED_ALLOW_IPS", given) for given in ("nginx", "10.0.0.7/8", "10.0.0.0/40")),
        *(("RATE_LIMIT_EXEMPT", given) for given in ("office.example", "10.0.0.0/99")),
        *(
            ("RATE_LIMIT_PRINCIPAL", given)
            for given in ("0/minute", "10", "1e9/minute", "ten/hour")
        ),
        *(("API_HOST", given) for given in ("0.0.0.0:8000", "http://0.0.0.0", "*", "10.0.0.300")),
        *(("MAIL_HOST", given) for given in ("smtp://mail.example.com", "mail.example.com:587")),
        *(("METRICS_HOST", given) for given in ("0.0.0.0:9464", "http://0.0.0.0")),
        *(("MAIL_SENDER", given) for given in ("nobody", "jürgen@example.com", "a@b@c.example")),
        *(
            ("MAIL_LINK_BASE", given)
            for given in ("https://a.example?b=c", "ftp://a.example", "//a")
        ),
        # begin slice: passkeys
        *(
            ("PASSKEY_RP_ID", given)
            for given in ("https://example.com", "example.com:443", "10.0.0.1")
        ),
        # end slice: passkeys
        *(
            ("REDIS_SENTINELS", given)
            for given in ("one", "redis://one:26379", "::1:26379", "one:0")
        ),
        *(("TRACING_SAMPLE", given) for given in ("10%", "50", "nan", "inf", "-0.1")),
        *(("API_DEADLINE", given) for given in ("30s", "inf", "nan", "0", "1e300", "-1")),
        *(("DATABASE_STATEMENT_TIMEOUT", given) for given in ("inf", "1e9", "500ms")),
        *(("API_MAX_BODY_BYTES", given) for given in ("1MB", "99999999999", "1.5", "0x10")),
        *(("API_DOCS", given) for given in ("maybe", "2", "ja")),
        *(("JOBS_KEEP_DAYS", given) for given in ("9999999", "0", "7d")),
        *(("AUTH_VERIFY_HOURS", given) for given in ("99999999", "3h")),
        ("CELERY_HEARTBEAT_SECONDS", "inf"),
        *((name, url) for name, url in SOCKETS.items()),
        # begin slice: oidc
        ("OIDC_PROVIDERS", PROVIDER.replace("https://app.", "https://a,https://app.")),
        # end slice: oidc
        # begin slice: oidc
        ("OIDC_PROVIDERS", PROVIDER.replace("https://app.", "https://u:hunter2@app.")),
        # end slice: oidc
        ("OIDC_PROVIDERS", "{'a': 1}"),  # slice: oidc
        ("OIDC_PROVIDERS", '{"a": {"issuer": "hunter2'),  # slice: oidc
        ("TLS_CA_FILE", "/nowhere/ca.pem"),
        ("MAIL_CA_FILE", "/nowhere/ca.pem"),
        ("TLS_VERIFY", "off"),
    ],
)
def test_rejected_values(monkeypatch: pytest.MonkeyPatch, name: str, given: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **{name: given})
    assert str(caught.value).startswith(f"{name}: ")
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("TLS_VERIFY", "none"),
        ("API_FORWARDED_ALLOW_IPS", "0.0.0.0/0"),
        ("API_FORWARDED_ALLOW_IPS", "10.0.0.1,*"),
        *(
            ("API_FORWARDED_ALLOW_IPS", given)
            for given in (
                "::/0",
                "::ffff:0:0/96",
                "::ffff:0.0.0.0/96",
                "::/64",
                "2000::/3",
                "0.0.0.0/1,128.0.0.0/1",
                "::ffff:0.0.0.0/97,128.0.0.0/1",
            )
        ),
        ("DATABASE_REPLICA_URL", "postgresql://app:postgres@replica/app"),
        # begin slice: oidc
        (
            "OIDC_PROVIDERS",
            SAFE["OIDC_PROVIDERS"].replace("https://app.example.com", "http://app.example.com"),
        ),
        # end slice: oidc
    ],
)
def test_values_rejected_in_production(
    monkeypatch: pytest.MonkeyPatch, name: str, given: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: "):
        load(monkeypatch, **{**SAFE, name: given})


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("API_FORWARDED_ALLOW_IPS", "10.0.0.0/8,172.16.0.0/12,::ffff:192.168.0.0/112,fd00::/8"),
        # begin slice: oidc
        ("OIDC_PROVIDERS", PROVIDER.replace("https://app.example.com", "http://127.0.0.1:8000")),
        # end slice: oidc
        ("OIDC_PROVIDERS", PROVIDER.replace("/back", "/back?provider=a")),  # slice: oidc
    ],
)
def test_values_accepted_in_production(
    monkeypatch: pytest.MonkeyPatch, name: str, given: str
) -> None:
    assert load(monkeypatch, **{**SAFE, name: given}).app.environment == "production"


@pytest.mark.parametrize("environment", ["development", "test"])
def test_development_keys_are_accepted_only_on_loopback(
    monkeypatch: pytest.MonkeyPatch, environment: str
) -> None:
    monkeypatch.setenv("ENVIRONMENT", environment)
    for host in ("127.0.0.1", "::1", "localhost"):
        assert load(monkeypatch, API_HOST=host).api.host == host
    for host in ("0.0.0.0", "::", "10.0.0.7", "api.example.com"):  # noqa: S104
        with pytest.raises(
            SettingsError, match=r"^AUTH_JWT_SECRET, AUTH_ENCRYPTION_KEY: .*API_HOST"
        ):
            load(monkeypatch, API_HOST=host)
    with pytest.raises(SettingsError, match=r"^AUTH_ENCRYPTION_KEY: "):
        load(monkeypatch, AUTH_JWT_SECRET=SAFE["AUTH_JWT_SECRET"])
    own = load(monkeypatch, AUTH_ENCRYPTION_KEY=SAFE["AUTH_ENCRYPTION_KEY"])
    assert own.api.host == "api.example.com"
    with pytest.raises(SettingsError, match=r"^AUTH_JWT_ACCEPTED_SECRETS: "):
        load(monkeypatch, AUTH_JWT_ACCEPTED_SECRETS="development-only-and-more-than-32-bytes-long")


def test_data_protected_by_a_key_with_surrounding_whitespace_stays_valid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = SAFE["AUTH_ENCRYPTION_KEY"]
    auth = load(
        monkeypatch, AUTH_ENCRYPTION_KEY=f"{key}\n", AUTH_ENCRYPTION_ACCEPTED_KEYS="x" * 32
    ).auth
    assert auth.encryption_key.get_secret_value() == key
    accepted = [one.get_secret_value() for one in auth.encryption_accepted_keys]
    assert accepted == ["x" * 32, f"{key}\n"]


def test_settings_file_with_foreign_line_endings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_bytes('\ufeffAPI_PORT=8080\r\nAPI_DOCS="false"\r\nAPI_PROT=1\r\n'.encode())
    settings = load_settings(file)
    assert (settings.api.port, settings.api.docs) == (8080, False)
    assert settings.notices == ("API_PROT is not a setting; did you mean API_PORT?",)
    file.write_bytes(b"MAIL_SENDER_NAME=B\xfccher\n")
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(file)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("DATABASE_POOLSIZE", "did you mean DATABASE_POOL_SIZE?"),
        ("DATABSE_URL", "did you mean DATABASE_URL?"),
        ("LOGLEVEL", "did you mean LOG_LEVEL?"),
        ("REDIS_PASSWORD", "is not a setting"),
        ("API_KEY", "is not a setting"),
        ("CELERY_PURGE_SECONDS", "is no longer a setting"),
        ("PGSSLMODE", "is not read; set DATABASE_SSL_MODE"),
    ],
)
def test_unknown_variable_name_is_reported(
    monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    before = set(load_settings(env_file=None).notices)
    (notice,) = set(load(monkeypatch, **{name: "hunter2"}).notices) - before
    assert notice.startswith(f"{name} ")
    assert said in notice
    assert "hunter2" not in notice


def test_variables_added_by_orchestrators_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_settings(env_file=None).notices
    links = {
        "API_SERVICE_HOST": "10.0.0.1",
        "API_SERVICE_PORT": "80",
        "API_SERVICE_PORT_HTTP": "80",
        "API_PORT": "tcp://10.0.0.1:80",
        "API_PORT_80_TCP": "tcp://10.0.0.1:80",
        "API_PORT_80_TCP_PROTO": "tcp",
        "REDIS_PORT": "tcp://10.0.0.2:6379",
        "REDIS_PORT_6379_TCP_ADDR": "10.0.0.2",
        "REDIS_PORT_6379_TCP_PORT": "6379",
        "REDIS_NAME": "/web/redis",
        "REDIS_ENV_REDIS_VERSION": "8.0",
        "DATABASE_SERVICE_HOST": "10.0.0.3",
        "METRICS_PORT_9464_UDP_PROTO": "udp",
    }
    settings = load(monkeypatch, **links)
    assert settings.notices == before
    assert settings.api.port == 8000
