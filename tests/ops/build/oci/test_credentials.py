import base64
import json
from pathlib import Path

import pytest

from ops.build.oci import credentials
from ops.build.oci.errors import OciError

HOST = "registry.example:5000"


def kept(folder: Path, document: object) -> dict[str, str]:
    (folder / "config.json").write_text(json.dumps(document))
    return {"DOCKER_CONFIG": str(folder)}


def entry(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def helper(folder: Path, script: str) -> dict[str, str]:
    program = folder / "docker-credential-kept"
    program.write_text(f"#!/bin/sh\nread -r host\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def test_variable_takes_precedence_over_stored_credentials(tmp_path: Path) -> None:
    environment = kept(tmp_path, {"auths": {HOST: entry("ada:kept")}})
    assert credentials.find(HOST, "app", environment) == "ada:kept"
    assert credentials.find(HOST, "app", {**environment, "OCI_CREDENTIALS": "a:b"}) == "a:b"


@pytest.mark.parametrize("key", [HOST, f"https://{HOST}", f"https://{HOST}/v2/", f"{HOST}/team"])
def test_entry_is_found_by_each_form_of_its_name(tmp_path: Path, key: str) -> None:
    environment = kept(tmp_path, {"auths": {key: entry("ada:se:cret"), "other": entry("x:y")}})
    assert credentials.find(HOST, "team/app", environment) == "ada:se:cret"


def test_more_specific_entry_wins(tmp_path: Path) -> None:
    environment = kept(tmp_path, {"auths": {HOST: entry("a:1"), f"{HOST}/team/app": entry("b:2")}})
    assert credentials.find(HOST, "team/app", environment) == "b:2"
    assert credentials.find(HOST, "team/other", environment) == "a:1"


def test_locations_of_docker_and_podman_are_read(tmp_path: Path) -> None:
    for number, path in enumerate([".docker/config.json", "run/containers/auth.json", "own.json"]):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(json.dumps({"auths": {f"host{number}": entry("a:b")}}))
    environment = {
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path / "run"),
        "REGISTRY_AUTH_FILE": str(tmp_path / "own.json"),
    }
    found = [credentials.find(f"host{number}", "app", environment) for number in range(4)]
    assert found == ["a:b", "a:b", "a:b", ""]


def test_no_entry_means_anonymous() -> None:
    assert credentials.find(HOST, "app", {}) == ""


@pytest.mark.parametrize("how", [{"credsStore": "kept"}, {"credHelpers": {HOST: "kept"}}])
def test_credential_helper_is_called(tmp_path: Path, how: dict[str, object]) -> None:
    path = helper(tmp_path, """printf '{"Username": "ada", "Secret": "%s"}' "$host" """)
    environment = {**kept(tmp_path, {"auths": {HOST: {}}, **how}), **path}
    assert credentials.find(HOST, "app", environment) == f"ada:{HOST}"


def test_helper_without_an_entry_is_not_an_error(tmp_path: Path) -> None:
    path = helper(tmp_path, "echo 'credentials not found in native keychain'; exit 1")
    environment = {**kept(tmp_path, {"credsStore": "kept"}), **path}
    assert credentials.find(HOST, "app", environment) == ""


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("echo locked >&2; exit 1", "docker-credential-kept gives no credentials for .*: locked"),
        ("echo x", "docker-credential-kept answered what is no credential"),
        ("""echo '{"Username": "<token>", "Secret": "s"}'""", "keeps an identity token"),
    ],
)
def test_failing_helper_is_named(tmp_path: Path, script: str, complaint: str) -> None:
    environment = {**kept(tmp_path, {"credsStore": "kept"}), **helper(tmp_path, script)}
    with pytest.raises(OciError, match=complaint):
        credentials.find(HOST, "app", environment)


def test_missing_helper_is_named(tmp_path: Path) -> None:
    environment = {**kept(tmp_path, {"credsStore": "missing"}), "PATH": str(tmp_path)}
    with pytest.raises(OciError, match="docker-credential-missing, which keeps the credentials"):
        credentials.find(HOST, "app", environment)


@pytest.mark.parametrize(
    "text", ["no json", "[]", '{"auths": {"registry.example:5000": {"auth": "!"}}}']
)
def test_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(OciError, match=r"config.json: "):
        credentials.find(HOST, "app", {"DOCKER_CONFIG": str(tmp_path)})


def test_variable_without_a_password_is_refused() -> None:
    with pytest.raises(OciError, match="it must be USER:PASSWORD"):
        credentials.find(HOST, "app", {"OCI_CREDENTIALS": "ada"})
