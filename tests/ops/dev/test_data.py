"""What can be wrong with the data folder is said in a sentence."""

import os
import socket
from pathlib import Path

import pytest

from ops.dev import data, places, postgres
from ops.dev.errors import UpError


def test_a_folder_is_claimed_by_one_run_at_a_time(tmp_path: Path) -> None:
    with (
        data.claim(tmp_path),
        pytest.raises(UpError, match=f"runs already .*process {os.getpid()}"),
        data.claim(tmp_path),
    ):
        pass
    with data.claim(tmp_path):
        pass


def test_passwords_are_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    first = data.passwords(tmp_path)
    assert data.passwords(tmp_path) == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert len({first.postgres, first.service, first.redis, first.admin}) == 4


def test_damaged_passwords_are_named(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text('{"postgres": "x"}')
    with pytest.raises(UpError, match=r"secrets\.json is damaged"):
        data.passwords(tmp_path)


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UpError, match="cannot hold the data"), data.claim(tmp_path / "file"):
        pass


def test_data_of_another_major_version_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "PG_VERSION").write_text("16\n")
    with pytest.raises(UpError, match="holds data of PostgreSQL 16, and this is 17"):
        postgres.check(tmp_path)


def test_a_folder_of_something_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(UpError, match="not a data folder of PostgreSQL"):
        postgres.check(tmp_path)


def test_an_empty_folder_will_do(tmp_path: Path) -> None:
    postgres.check(tmp_path)
    postgres.check(tmp_path / "none")


def test_a_busy_port_is_named_with_the_variable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(UpError, match=rf"port {number} for the API cannot be used.*API_PORT"):
            places.port(number, "the API", "API_PORT")


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"FASTAPI_BASE_CACHE": "/c", "HOME": "/h"}, "/c"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/fastapi-base"),
        ({"HOME": "/h"}, "/h/.cache/fastapi-base"),
    ],
)
def test_the_cache_is_where_the_environment_says(environ: dict[str, str], folder: str) -> None:
    assert places.cache(environ) == Path(folder)


def test_the_cache_needs_no_home() -> None:
    assert places.cache({}).is_absolute()
