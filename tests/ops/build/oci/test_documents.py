import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ops.build.oci import documents, provenance, sbom
from tests.ops.build.oci import samples
from tests.ops.build.oci.test_provenance import FORM, LOCKS, statement
from tests.ops.build.oci.test_sbom import DIGEST, bill, content

COMMON: dict[str, Any] = {
    "origin": "//:api",
    "digest": DIGEST,
    "reference": "try/it:1",
    "builder_id": "urn:example:machine",
    "form": FORM,
}


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Before changing the directory, since sandbox paths are relative to it.
    monkeypatch.setenv("PYTHONPATH", ":".join(str(Path(one).absolute()) for one in sys.path))
    monkeypatch.chdir(tmp_path)


def spec(**more: Any) -> list[str]:
    Path("spec.json").write_text(json.dumps({**COMMON, **more}))
    return ["spec.json"]


@pytest.mark.parametrize(("seed", "zone"), [("0", "UTC"), ("1", "Asia/Tokyo")])
def test_documents_are_independent_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: str, zone: str
) -> None:
    samples.made(tmp_path, "layer", *content())
    locks = write_locks()
    monkeypatch.setenv("PYTHONHASHSEED", seed)
    monkeypatch.setenv("TZ", zone)
    arguments = spec(
        platform="linux/amd64",
        layers=["layer.json"],
        locks=locks,
        sbom="deep/bom.json",
        provenance="deep/made.json",
    )
    subprocess.run([sys.executable, "-m", documents.__name__, *arguments], check=True)
    assert Path("deep/bom.json").read_text() == bill(tmp_path)[0]
    assert Path("deep/made.json").read_text() == statement(tmp_path)


@pytest.mark.parametrize(
    ("lock", "old", "new", "said"),
    [
        ("debian.lock", "5" * 64, "0" * 64, f"//:api: one 1.0-1 ({'5' * 64}) is in the image and"),
        ("debian.lock", "two 1.0-1", "two 1.0-2", "//:api: two 1.0-1"),
        ("app.lock", "orjson==3.11.0", "orjson==3.11.1", "//:api: orjson 3.11.0 is in the image"),
        ("app.lock", "none==1", "other==1", "in none of its locks (app.lock, debian.lock)"),
    ],
)
def test_unlocked_package_fails_the_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], lock: str, old: str, new: str, said: str
) -> None:
    samples.made(tmp_path, "layer", *content())
    locks = write_locks()
    assert documents.main(image_spec(locks)) == 0
    text = Path(lock).read_text()
    assert old in text
    Path(lock).write_text(text.replace(old, new))
    assert documents.main(image_spec(locks)) == 1
    assert said in capsys.readouterr().err


def write_locks() -> list[str]:
    for name, text in LOCKS.items():
        Path(name).write_bytes(text)
    return sorted(LOCKS, reverse=True)


def image_spec(locks: list[str]) -> list[str]:
    return spec(
        platform="linux/amd64",
        layers=["layer.json"],
        locks=locks,
        sbom="bom.json",
        provenance="made.json",
    )


def test_index_has_only_provenance() -> None:
    images = {"linux/amd64": "sha256:" + "a" * 64}
    assert documents.main(spec(images=images, provenance="made.json")) == 0
    expected = provenance.index("//:api", DIGEST, "try/it:1", images, "urn:example:machine", FORM)
    assert Path("made.json").read_text() == expected


def test_missing_file_argument_explains_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert documents.main([]) == 2
    assert "expected is one argument" in capsys.readouterr().err


def test_hashes_of_debian_locks_are_not_wheel_hashes() -> None:
    assert sbom.locked_hashes(LOCKS["debian.lock"].decode()) == {}
