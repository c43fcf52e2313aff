import json
from typing import Any

import pytest

from ops.build.oci import config as oci
from ops.build.oci.config import Config
from ops.build.oci.errors import OciError


def run(**fields: Any) -> dict[str, Any]:
    document = json.loads(oci.config(Config(**fields), [], "linux/amd64", "//:image"))
    return dict(document["config"])


def test_every_field_is_where_engines_expect_it() -> None:
    assert run(
        entrypoint=["/usr/bin/x"],
        cmd=["-v"],
        env={"B": "2", "A": "1"},
        user="app:app",
        ports=["8000", "53/udp"],
        volumes=["/data"],
        workdir="/app",
        labels={"k": "v"},
        stop_signal="SIGINT",
        healthcheck={
            "test": ["/usr/bin/check"],
            "interval": 5,
            "timeout": "2.5",
            "start_period": 1,
            "retries": 3,
        },
    ) == {
        "Entrypoint": ["/usr/bin/x"],
        "Cmd": ["-v"],
        "Env": ["A=1", "B=2"],
        "User": "app:app",
        "ExposedPorts": {"8000/tcp": {}, "53/udp": {}},
        "Volumes": {"/data": {}},
        "WorkingDir": "/app",
        "Labels": {"k": "v"},
        "StopSignal": "SIGINT",
        "Healthcheck": {
            "Test": ["CMD", "/usr/bin/check"],
            "Interval": 5_000_000_000,
            "Timeout": 2_500_000_000,
            "StartPeriod": 1_000_000_000,
            "Retries": 3,
        },
    }


def test_unset_fields_are_absent() -> None:
    assert run() == {}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"ports": ["http"]}, "ports: 'http' is not a port such as 8000"),
        ({"ports": ["70000"]}, "ports: '70000'"),
        ({"volumes": ["data"]}, "volumes: 'data' is not an absolute path"),
        ({"workdir": "/app/../etc"}, "workdir: '/app/../etc' is not an absolute path"),
        ({"user": "App User"}, "user: 'App User' is not USER or USER:GROUP"),
        ({"stop_signal": "TERM"}, "stop_signal: 'TERM' is not a signal such as SIGTERM"),
        ({"healthcheck": {"command": "x"}}, "healthcheck: 'command' is not one of interval"),
        ({"healthcheck": {"test": "curl x"}}, "healthcheck: test must be a command as a list"),
        (
            {"healthcheck": {"test": ["x"], "interval": "soon"}},
            "healthcheck: interval must be a number above 0, not 'soon'",
        ),
    ],
)
def test_invalid_value_is_refused_with_target_field_and_remedy(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(OciError) as error:
        run(**fields)
    assert str(error.value).startswith(f"//:image: {message}")


def test_unknown_platform_is_refused_with_the_known_ones() -> None:
    with pytest.raises(OciError, match="//:image: platforms: 'linux/mips' is not one of linux/amd"):
        oci.config(Config(), [], "linux/mips", "//:image")
