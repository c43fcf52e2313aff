import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ops.oci import documents, provenance, sbom
from tests.ops.oci import samples
from tests.ops.oci.test_provenance import LOCKS, statement
from tests.ops.oci.test_sbom import DIGEST, bill, content

COMMON: dict[str, Any] = {
    "origin": "//:api",
    "digest": DIGEST,
    "reference": "try/it:1",
    "builder_id": "urn:example:machine",
}


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Before the folder is left, as a sandbox's places are relative to it.
    monkeypatch.setenv("PYTHONPATH", ":".join(str(Path(one).absolute()) for one in sys.path))
    monkeypatch.chdir(tmp_path)


def spec(**more: Any) -> list[str]:
    Path("spec.json").write_text(json.dumps({**COMMON, **more}))
    return ["spec.json"]


@pytest.mark.parametrize(("seed", "zone"), [("0", "UTC"), ("1", "Asia/Tokyo")])
def test_same_image_has_the_same_documents_in_any_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: str, zone: str
) -> None:
    samples.made(tmp_path, "layer", *content())
    for name, text in LOCKS.items():
        Path(name).write_bytes(text)
    monkeypatch.setenv("PYTHONHASHSEED", seed)
    monkeypatch.setenv("TZ", zone)
    arguments = spec(
        platform="linux/amd64",
        layers=["layer.json"],
        locks=sorted(LOCKS, reverse=True),
        sbom="deep/bom.json",
        provenance="deep/made.json",
    )
    subprocess.run([sys.executable, "-m", documents.__name__, *arguments], check=True)
    assert Path("deep/bom.json").read_text() == bill(tmp_path)[0]
    assert Path("deep/made.json").read_text() == statement(tmp_path)


def test_index_has_provenance_alone() -> None:
    images = {"linux/amd64": "sha256:" + "a" * 64}
    assert documents.main(spec(images=images, provenance="made.json")) == 0
    expected = provenance.index("//:api", DIGEST, "try/it:1", images, "urn:example:machine")
    assert Path("made.json").read_text() == expected


def test_without_a_file_it_says_what_it_expects(capsys: pytest.CaptureFixture[str]) -> None:
    assert documents.main([]) == 2
    assert "expected is one argument" in capsys.readouterr().err


def test_hashes_of_debian_locks_are_no_wheels() -> None:
    assert sbom.locked_hashes(LOCKS["debian.lock"].decode()) == {}
