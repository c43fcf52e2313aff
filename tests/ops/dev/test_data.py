"""Problems with the data directory are reported in one sentence."""

import json
import os
import socket
from dataclasses import asdict
from pathlib import Path

import pytest

from ops.dev import data, places, postgres
from ops.dev.errors import UpError


def test_directory_is_claimed_by_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        data.claim(tmp_path),
        pytest.raises(UpError, match=f"another `make up` uses .*process {os.getpid()}"),
        data.claim(tmp_path),
    ):
        pass
    with data.claim(tmp_path):
        pass


def test_passwords_are_generated_once_and_readable_only_by_the_owner(tmp_path: Path) -> None:
    first = data.passwords(tmp_path)
    assert data.passwords(tmp_path) == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert len(set(asdict(first).values())) == 6
    assert len(first.signing) >= 32
    assert len(first.encryption) >= 32


def test_directories_without_keys_get_keys_and_keep_their_passwords(tmp_path: Path) -> None:
    old = {name: name for name in ("postgres", "service", "redis", "admin")}
    (tmp_path / "secrets.json").write_text(json.dumps(old))
    kept = data.passwords(tmp_path)
    assert (kept.postgres, kept.admin) == ("postgres", "admin")
    assert len({kept.signing, kept.encryption}) == 2
    assert data.passwords(tmp_path) == kept


def test_damaged_passwords_are_named(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text('{"postgres": "x"}')
    with pytest.raises(UpError, match=r"secrets\.json is damaged"):
        data.passwords(tmp_path)


def test_file_in_place_of_the_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(UpError, match="not usable as data directory"),
        data.claim(tmp_path / "file"),
    ):
        pass


def test_data_of_another_major_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("16\n")
    with pytest.raises(UpError, match="contains data of PostgreSQL 16, but this is 17"):
        postgres.check(tmp_path)


def test_unrelated_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(UpError, match="not a PostgreSQL data directory"):
        postgres.check(tmp_path)


def test_empty_directory_is_accepted(tmp_path: Path) -> None:
    postgres.check(tmp_path)
    postgres.check(tmp_path / "none")


def test_busy_port_is_named_with_its_variable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(UpError, match=rf"port {number} for the API cannot be used.*API_PORT"):
            places.port(number, "the API", "API_PORT")
    with pytest.raises(UpError, match="API_PORT: 99999 is not a port"):
        places.port(99999, "the API", "API_PORT")


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"FASTAPI_BASE_CACHE": "/c", "HOME": "/h"}, "/c"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/fastapi-base"),
        ({"HOME": "/h"}, "/h/.cache/fastapi-base"),
    ],
)
def test_cache_location_follows_the_environment(environ: dict[str, str], folder: str) -> None:
    assert places.cache(environ) == Path(folder)


def test_cache_needs_no_home() -> None:
    assert places.cache({}).is_absolute()
