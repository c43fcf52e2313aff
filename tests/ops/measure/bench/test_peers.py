"""A peer is served from its checkout by its own programs, or the missing parts are named."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
import typer

from ops.measure.bench import api
from ops.measure.bench.peers.peer import Peer, serving_peer

DATABASE, REDIS = "postgresql://one", "redis://two"
PEER = Peer(
    folder="backend",
    install="make venv",
    environ=lambda database, redis: {"GIVEN": f"{database} {redis}"},
    prepare=[
        ["python", "-c", "import os, pathlib; pathlib.Path('made').write_text(os.environ['GIVEN'])"]
    ],
    serve=["python", "-m", "http.server", "--bind", "127.0.0.1", "{port}"],
    live="/made",
    log_in=lambda client: [],
    workloads={},
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose environment contains only Python."""
    programs = tmp_path / "checkout/.venv/bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    (tmp_path / "checkout/backend").mkdir()
    return tmp_path / "checkout"


def test_peer_is_prepared_and_served_in_its_directory(checkout: Path, tmp_path: Path) -> None:
    with serving_peer("other", PEER, checkout, tmp_path, DATABASE, REDIS) as subject:
        reply = httpx2.get(f"{subject.url}/made")
        assert (subject.name, reply.text) == ("other", f"{DATABASE} {REDIS}")
        assert subject.memory() > 0
    assert not subject.process.is_running()


def test_failing_step_is_shown_with_its_output(checkout: Path, tmp_path: Path) -> None:
    peer = replace(PEER, prepare=[["python", "-c", "raise SystemExit('no such table')"]])
    with (
        pytest.raises(typer.BadParameter, match="of other failed:\nno such table"),
        serving_peer("other", peer, checkout, tmp_path, DATABASE, REDIS),
    ):
        pass


def test_checkout_without_environment_explains_how_to_create_one(tmp_path: Path) -> None:
    with (
        pytest.raises(typer.BadParameter, match=r"has no \.venv.*make it by `make venv`"),
        serving_peer("other", PEER, tmp_path, tmp_path, DATABASE, REDIS),
    ):
        pass


def test_missing_program_is_named(checkout: Path, tmp_path: Path) -> None:
    peer = replace(PEER, serve=["uvicorn", "app:app"])
    with (
        pytest.raises(typer.BadParameter, match="has no program uvicorn"),
        serving_peer("other", peer, checkout, tmp_path, DATABASE, REDIS),
    ):
        pass


@pytest.mark.parametrize(
    "given", ["other=.", "fastapi-boilerplate", "fastapi-boilerplate=/nowhere"]
)
def test_peers_are_given_by_a_known_name_and_a_directory(given: str) -> None:
    with pytest.raises(typer.BadParameter, match="NAME is full-stack-fastapi-template or"):
        api.main(peer=[given])


@pytest.mark.parametrize("name", api.PEERS)
def test_adapters_have_all_workloads_in_json(name: str) -> None:
    peer = api.PEERS[name]
    assert set(api.WORKLOADS) <= set(peer.workloads)
    assert {load.url[0] for load in peer.workloads.values()} == {"/"}
    bodies = [json.loads(load.body) for load in peer.workloads.values() if load.body]
    assert [body["title"] for body in bodies] == ["Teapot"]
    assert any("{port}" in part for part in peer.serve)
