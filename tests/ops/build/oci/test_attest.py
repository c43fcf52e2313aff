"""Rebuilds in a small repository, whose `./pants` copies what a build would write."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.build.oci import attest, rebuild, stores, verify
from ops.build.oci.registry import Reference, Registry
from tests.ops.build.oci import referrers, signed

#: Records its arguments, and writes the image of the checkout with the documents for them.
PANTS = """#!/bin/sh
set -e
echo "$@" >> "$RECORD"
mkdir dist && cp "$RECORD.builds/$(cat version)"/it.* dist/
"""
THEIRS = "urn:example:rebuilder"


@dataclass(frozen=True)
class Repository:
    """A repository whose only commit builds version 1.0-1, and the image of that."""

    path: Path
    record: Path
    image: signed.Image

    def commit(self, version: str) -> str:
        """Commit a source that builds this version; returns the commit."""
        (self.path / "version").write_text(version)
        rebuild.git(self.path, "add", ".")
        who = ("-c", "user.name=it", "-c", "user.email=it@example.org")
        rebuild.git(self.path, *who, "commit", "--quiet", "--message", version)
        return rebuild.git(self.path, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    path, record = tmp_path / "repository", tmp_path / "record"
    path.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=path, check=True)
    (path / "pants").write_text(PANTS)
    (path / "pants").chmod(0o755)
    monkeypatch.setenv("RECORD", str(record))
    made = Repository(path, record, signed.image(tmp_path / "none"))
    commit = made.commit("1.0-1")
    tree = rebuild.git(path, "rev-parse", "HEAD^{tree}")
    source = {**signed.SOURCE, "commit": commit, "tree": tree}
    (tmp_path / "record.builds").mkdir()
    image = signed.image(tmp_path / "record.builds/1.0-1", source=source)
    signed.image(tmp_path / "record.builds/2.0-1", "2.0-1", source=source)
    monkeypatch.chdir(path)
    yield Repository(path, record, image)
    # No worktree is left behind.
    assert len(rebuild.git(path, "worktree", "list").splitlines()) == 1


def test_rebuild_at_the_recorded_commit_is_compared(
    repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, _ = signed.keys(tmp_path)
    with referrers.registry() as (host, _):
        registry = Registry(Reference.parse(f"{host}/try/it:1"))
        repository.image.publish(registry, key)
        # The checkout has moved on.
        repository.commit("2.0-1")
        name = f"{registry.reference.repository}@{repository.image.digest}"
        words = [name, "--key", str(tmp_path / "ours.pub"), "--rebuild"]
        assert verify.main(words) == 0
        assert "ok       rebuild      commit " in capsys.readouterr().out
        (said,) = repository.record.read_text().splitlines()
        assert said.endswith(f"--oci-images-builder-id={signed.BUILDER} package {signed.TARGET}")
        assert "--oci-images-compression=none" in said
        # A commit that builds something else is noticed.
        builds = tmp_path / "record.builds"
        shutil.rmtree(builds / "1.0-1")
        (builds / "2.0-1").rename(builds / "1.0-1")
        assert verify.main(words) == 1
        assert "WRONG    rebuild" in capsys.readouterr().out


def test_rebuilder_adds_a_signed_attestation(
    repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, _ = signed.keys(tmp_path)
    signed.keys(tmp_path, "theirs")
    with referrers.registry() as (host, _):
        registry = Registry(Reference.parse(f"{host}/try/it:1"))
        repository.image.publish(registry, key)
        name = f"{registry.reference.repository}@{repository.image.digest}"
        both = [f"--key={tmp_path}/ours.pub", f"--key={tmp_path}/theirs.pub"]
        assert verify.main([name, *both]) == 1
        assert "none is signed by theirs.pub" in capsys.readouterr().out
        words = [name, f"--key={tmp_path}/theirs.pem", f"--builder={THEIRS}"]
        assert attest.main(words) == 0
        assert f"--oci-images-builder-id={THEIRS}" in repository.record.read_text()
        assert verify.main([name, *both]) == 0
        assert verify.main([name, both[1]]) == 0


def test_nothing_is_signed_if_the_rebuild_differs(
    repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signed.keys(tmp_path)
    other = repository.commit("2.0-1")
    words = [str(repository.image.file), f"--key={tmp_path}/ours.pem", f"--builder={THEIRS}"]
    assert attest.main([*words, f"--commit={other}"]) == 1
    assert "nothing was signed" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.attestations.jsonl"))


def test_archive_gets_its_attestation_beside_it(
    repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signed.keys(tmp_path)
    image = signed.image(tmp_path / "dist", source={})
    words = [str(image.file), f"--key={tmp_path}/ours.pem", f"--builder={THEIRS}"]
    (repository.path / "version").write_text("changed")
    assert attest.main(words) == 1
    assert "files here differ from theirs: commit them" in capsys.readouterr().err
    (repository.path / "version").write_text("1.0-1")
    for _ in range(2):
        assert attest.main(words) == 0
    beside = image.file.with_name("it.attestations.jsonl")
    assert len(beside.read_bytes().splitlines()) == 2
    assert verify.main([str(image.file), f"--key={tmp_path}/ours.pub"]) == 0


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({}, "records no commit"),
        ({"commit": "c" * 40, "tree": "d" * 40}, "git rev-parse: "),
        ({"tree": "d" * 40}, f"not {'d' * 40} as recorded"),
    ],
)
def test_rebuild_that_is_not_possible_is_a_missing_link(
    repository: Repository, tmp_path: Path, source: dict[str, str], said: str
) -> None:
    key, public = signed.keys(tmp_path)
    head = {"commit": rebuild.git(repository.path, "rev-parse", "HEAD")}
    image = signed.image(tmp_path / "other", source={**head, **source} if source else {})
    with referrers.registry() as (host, _):
        registry = Registry(Reference.parse(f"{host}/try/it:1"))
        image.publish(registry, key)
        store = stores.RegistryStore(Registry(Reference.parse(f"{host}/try/it@{image.digest}")))
        link = rebuild.compared(store, [public], repository.path)
    assert not link.holds
    assert said in link.text
