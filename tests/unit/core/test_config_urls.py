"""URLs in settings as providers issue them: supported, translated, or rejected by name."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from fastapi_base.core.config import SettingsError
from tests.unit.core.environment import load

pytestmark = pytest.mark.usefixtures("clean_environment")

BASE = "postgresql://app:secret@db.example.com/app"
SECRETS = (
    ("DATABASE_URL", "postgresql://app:{}@db.example.com:5432/app"),
    ("DATABASE_REPLICA_URL", "postgresql://app:{}@db.example.com:5432/app"),
    ("REDIS_URL", "redis://:{}@redis.example.com:6379/0"),
    ("CELERY_BROKER_URL", "amqp://app:{}@rabbit.example.com:5672/vhost"),
    ("SENTRY_DSN", "https://key:{}@sentry.example.com/1"),
)


@pytest.mark.parametrize(
    ("query", "mode"),
    [
        ("", "prefer"),
        ("sslmode=require", "require"),
        ("sslmode=allow", "prefer"),
        ("sslmode=disable", "disable"),
        ("ssl=require", "require"),
        ("ssl=true", "require"),
        ("sslmode=disable&ssl=true", "require"),
        # As Neon issues it: asyncpg has no channel binding; a verified certificate proves the same.
        ("sslmode=require&channel_binding=require", "verify-full"),
        ("channel_binding=prefer", "prefer"),
        ("sslrootcert=system", "verify-full"),
        ("gssencmode=disable&client_encoding=UTF8&sslmode=require", "require"),
    ],
)
def test_tls_mode_of_a_database_url(monkeypatch: pytest.MonkeyPatch, query: str, mode: str) -> None:
    settings = load(monkeypatch, DATABASE_URL=f"{BASE}?{query}").database
    assert settings.ssl_mode == mode
    assert settings.url.get_secret_value() == BASE.replace("postgresql:", "postgresql+asyncpg:")


@pytest.mark.parametrize(
    ("variable", "url", "replica", "mode"),
    [
        ("verify-full", "require", "", "verify-full"),
        ("disable", "require", "", "require"),
        ("require", "disable", "", "require"),
        ("", "", "require", "require"),
        ("", "disable", "verify-full", "verify-full"),
    ],
)
def test_strongest_tls_mode_wins(
    monkeypatch: pytest.MonkeyPatch, variable: str, url: str, replica: str, mode: str
) -> None:
    settings = load(
        monkeypatch,
        DATABASE_SSL_MODE=variable,
        DATABASE_URL=f"{BASE}?sslmode={url}" if url else BASE,
        DATABASE_REPLICA_URL=f"{BASE}?sslmode={replica}" if replica else "",
    )
    assert settings.database.ssl_mode == mode


def test_certificate_authorities_of_a_database_url(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = tmp_path / "ca.pem"
    with pytest.raises(SettingsError, match=r"^DATABASE_SSL_CA_FILE: cannot be read"):
        load(monkeypatch, DATABASE_URL=f"{BASE}?sslmode=require&sslrootcert={missing}")
    missing.write_text("nothing")
    with pytest.raises(SettingsError, match=r"^DATABASE_SSL_CA_FILE: contains no PEM certificates"):
        load(monkeypatch, DATABASE_URL=f"{BASE}?sslrootcert={missing}")
    with pytest.raises(SettingsError, match=r"^DATABASE_SSL_CA_FILE: differs from sslrootcert"):
        load(monkeypatch, DATABASE_SSL_CA_FILE=str(tmp_path / "other.pem"))


def test_other_parameters_of_a_database_url(monkeypatch: pytest.MonkeyPatch) -> None:
    query = "pgbouncer=true&connect_timeout=9&application_name=a%20b&options=-c%20a%3Db"
    url = f"postgres://app:secret@one.example.com:5433,[2001:db8::1]/app?{query}"
    settings = load(monkeypatch, DATABASE_URL=url).database
    assert settings.pgbouncer
    assert settings.connect_timeout == 9
    assert settings.hosts == ("one.example.com:5433", "[2001:db8::1]")
    assert "one.example.com" in repr(settings)
    assert settings.primary.arguments() == {
        "host": ["one.example.com", "2001:db8::1"],
        "port": [5433, 5432],
        "server_settings": {"application_name": "a b", "options": "-c a=b"},
    }
    assert load(monkeypatch, DATABASE_CONNECT_TIMEOUT="4").database.connect_timeout == 4


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("sslmode=sometimes", "sslmode"),
        ("channel_binding=maybe", "channel_binding"),
        ("sslcert=a.pem", "sslcert"),
        ("sslcrl=a.crl", "sslcrl"),
        ("sslnegotiation=direct", "sslnegotiation"),
        ("ssl_min_protocol_version=TLSv1.3", "ssl_min_protocol_version"),
        ("sslmode=require&sslrootcert=system", "sslrootcert"),
        ("gssencmode=require", "gssencmode"),
        ("require_auth=scram-sha-256", "require_auth"),
        ("client_encoding=latin1", "client_encoding"),
        ("target_session_attrs=best", "target_session_attrs"),
        ("connect_timeout=soon", "connect_timeout"),
        ("connect_timeout=0", "connect_timeout"),
        ("pgbouncer=perhaps", "pgbouncer"),
        ("connection_limit=1", "connection_limit"),
        ("sslmode=require&sslmode=disable", "sslmode"),
        ("host=other.example.com", "host"),
        ("service=mine", "service"),
        ("user=other", "user"),
    ],
)
def test_unsupported_parameter_is_named(
    monkeypatch: pytest.MonkeyPatch, query: str, named: str
) -> None:
    for name in ("DATABASE_URL", "DATABASE_REPLICA_URL"):
        with pytest.raises(SettingsError) as caught:
            load(monkeypatch, **{name: f"{BASE}?{query}"})
        assert str(caught.value).startswith(f"{name}: ")
        assert named in str(caught.value)
        assert "secret" not in str(caught.value)
        monkeypatch.delenv(name)


@pytest.mark.parametrize("part", ["@", "/", "?", "#", "%", "%zz", "@b:1/c?d#e", "/x/y@z"])
@pytest.mark.parametrize(("name", "form"), SECRETS)
def test_unencoded_password_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, form: str, part: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **{name: form.format(f"hunter2{part}hunter3")})
    assert str(caught.value).startswith(f"{name}: ")
    assert "percent-encoded" in str(caught.value)
    assert "%40" in str(caught.value)
    assert "hunter" not in str(caught.value)


def test_password_with_unambiguous_special_characters_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret = "[a:b]!$&'()*+,=\\^|~"
    settings = load(monkeypatch, **{name: form.format(secret) for name, form in SECRETS})
    assert settings.database.primary.password == secret
    assert unquote(urlsplit(settings.redis.url.get_secret_value()).password or "") == secret


def test_password_without_a_user_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://:p%40ss@db/app"
    assert load(monkeypatch, DATABASE_URL=url).database.primary.password == "p@ss"


@pytest.mark.parametrize("secret", ["a%40b", "a%2Fb%3Fc%23d%25e", "%C3%A9", "a:b"])
def test_percent_encoded_password_is_decoded(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    settings = load(monkeypatch, **{name: form.format(secret) for name, form in SECRETS[:3]})
    assert settings.database.primary.password == unquote(secret)
    assert unquote(urlsplit(settings.redis.url.get_secret_value()).password or "") == unquote(
        secret
    )


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("redis://redis", "redis://redis/0"),
        ("rediss://:p@redis:6380/3", "rediss://:p@redis:6380/3"),
        ("redis://u:p@redis?db=2", "redis://u:p@redis/2"),
        ("rediss://redis?ssl_cert_reqs=required&ssl_check_hostname=true", "rediss://redis/0"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
    ],
)
def test_redis_urls(monkeypatch: pytest.MonkeyPatch, given: str, taken: str) -> None:
    assert load(monkeypatch, REDIS_URL=given).redis.url.get_secret_value() == taken


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("REDIS_URL", "rediss://redis/0?ssl_cert_reqs=none", "TLS_VERIFY"),
        ("REDIS_URL", "rediss://redis/0?ssl_check_hostname=false", "TLS_VERIFY"),
        ("REDIS_URL", "rediss://redis/0?ssl_ca_certs=/ca.pem", "TLS_CA_FILE"),
        ("REDIS_URL", "redis://redis/0?ssl_cert_reqs=required", "ssl_cert_reqs"),
        ("REDIS_URL", "redis://redis/0?socket_timeout=1", "REDIS_TIMEOUT"),
        ("REDIS_URL", "redis://redis/0?decode_responses=1", "decode_responses"),
        ("REDIS_URL", "redis://redis/0?db=1", "db"),
        ("REDIS_URL", "redis://redis/first", "database number"),
        ("REDIS_URL", "redis://one,two/0", "one TCP host"),
        ("REDIS_URL", "unix:///run/redis.sock", "redis://"),
        ("REDIS_URL", "redis+sentinel://sentinel:26379/0", "REDIS_SENTINELS"),
        ("CELERY_BROKER_URL", "amqps://rabbit//?verify=verify_none", "verify"),
        ("CELERY_BROKER_URL", "amqps://one//;amqps://two//", "single URL"),
        ("CELERY_BROKER_URL", "amqp:///vhost", "amqp://"),
        ("CELERY_RESULT_BACKEND", "redis://redis/1", "PostgreSQL"),
        ("CELERY_BROKER_READ_URL", "redis://redis/1", "CELERY_BROKER_URL"),
        ("SENTRY_DSN", "https://sentry.example.com/1", "https://key@"),
        ("SENTRY_DSN", "https://key@sentry.example.com/", "https://key@"),
        ("TRACING_ENDPOINT", "collector:4318", "http://"),
        ("MAIL_LINK_BASE", "app.example.com", "https://"),
        ("MAIL_LINK_BASE", "https://user:pw@app.example.com", "without credentials"),
        ("DATABASE_URL", "postgresql://app:p@db:70000/app", "port"),
        ("DATABASE_URL", "postgresql://app:p@one,,two/app", "host"),
        ("DATABASE_URL", "postgresql://app:p@one,two:5432:5433/app", "host"),
        ("DATABASE_URL", "postgresql+psycopg2://app:p@db/app", "postgresql://"),
        ("DATABASE_URL", "postgresql://app:p@d b/app", "white space"),
    ],
)
def test_invalid_url_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **{name: value})
    assert str(caught.value).startswith(f"{name}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
