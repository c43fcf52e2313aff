"""Database URLs as the backup program passes them to libpq."""

import pytest

from ops.deploy.backup import backup


@pytest.mark.parametrize(
    ("query", "mode", "variables"),
    [
        ("", "", {}),
        ("?sslmode=require", "", {"PGSSLMODE": "require"}),
        ("?ssl=true", "disable", {"PGSSLMODE": "require"}),
        ("?sslmode=require", "verify-full", {"PGSSLMODE": "verify-full"}),
        (
            "?sslrootcert=/ca.pem&channel_binding=require&pgbouncer=true",
            "",
            {
                "PGSSLROOTCERT": "/ca.pem",
                "PGSSLMODE": "verify-ca",
                "PGCHANNELBINDING": "require",
            },
        ),
        (
            "?sslmode=require&sslrootcert=system",
            "",
            {"PGSSLROOTCERT": "system", "PGSSLMODE": "verify-full"},
        ),
        (
            "?options=-c%20a%3Db&connect_timeout=3",
            "",
            {"PGOPTIONS": "-c a=b", "PGCONNECT_TIMEOUT": "3"},
        ),
    ],
)
def test_url_settings_are_passed_to_libpq(query: str, mode: str, variables: dict[str, str]) -> None:
    url = f"postgresql+asyncpg://ada:p%40ss@one:5433,[2001:db8::1]/app{query}"
    assert backup.server({"DATABASE_URL": url, "DATABASE_SSL_MODE": mode}) == {
        "PGHOST": "one,2001:db8::1",
        "PGPORT": "5433,5432",
        "PGUSER": "ada",
        "PGPASSWORD": "p@ss",
        "PGDATABASE": "app",
        **variables,
    }


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://ada:hun@ter@one/app", "%40"),
        ("postgresql://ada:hun/ter@one/app", "%2F"),
        ("postgresql://ada:hun#ter@one/app", "%23"),
        ("postgresql://ada:hunter@one/app?sslcert=a.pem", "sslcert"),
        ("postgresql://ada:hunter@one/app?sslmode=often", "must be one of"),
    ],
)
def test_invalid_url_is_refused_without_showing_its_password(url: str, said: str) -> None:
    with pytest.raises(backup.BackupError) as caught:
        backup.server({"DATABASE_URL": url})
    assert said in str(caught.value)
    assert "hun" not in str(caught.value)
