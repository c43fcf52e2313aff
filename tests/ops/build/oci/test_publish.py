import json
import shlex
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.build.oci import dsse, publish, statements, transport
from ops.build.oci.archive import index
from ops.build.oci.errors import OciError
from ops.build.oci.registry import Reference, Registry
from tests.ops.build.oci import referrers, registries, signed, tokens
from tests.ops.build.oci.samples import build

BOM = "application/vnd.cyclonedx+json"
PROVENANCE = "application/vnd.in-toto+json"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


def test_registry_holds_the_built_digest(tmp_path: Path, host: str) -> None:
    built, archive = build(tmp_path)
    registry = Registry(Reference.parse(f"{host}/try/it:1"))
    assert publish.push(archive, registry) == built.digest
    assert registry.manifest("1") is None
    publish.tag(built.digest, registry)
    by_tag, by_digest = registry.manifest("1"), registry.manifest(built.digest)
    assert by_tag == by_digest
    assert by_tag
    for layer in json.loads(by_tag)["layers"]:
        assert registry.has_blob(layer["digest"])


def test_index_is_pushed_with_its_images(tmp_path: Path, host: str) -> None:
    amd64, one = build(tmp_path, "amd64")
    arm64, two = build(tmp_path, "arm64", tag="arm64")
    joined = index([one, two], "try/it:1", "//:index", tmp_path / "index.tar")
    registry = Registry(Reference.parse(f"{host}/try/both:1"))
    assert publish.push(tmp_path / "index.tar", registry) == joined.digest
    assert registry.manifest(amd64.digest)
    assert registry.manifest(arm64.digest)


def test_documents_refer_to_the_image_and_attaching_is_idempotent(
    tmp_path: Path, host: str
) -> None:
    built, archive = build(tmp_path)
    registry = Registry(Reference.parse(f"{host}/try/attached:1"))
    publish.push(archive, registry)
    for _ in range(2):
        publish.attach(built.digest, BOM, b'{"bom": 1}', registry)
        publish.attach(built.digest, PROVENANCE, b'{"made": "of"}', registry)
    found = {one["artifactType"]: one["digest"] for one in registry.referrers(built.digest)}
    assert set(found) == {BOM, PROVENANCE}
    assert len(registry.referrers(built.digest)) == 2
    manifest = json.loads(registry.manifest(found[BOM]) or b"")
    assert manifest["subject"]["digest"] == built.digest
    assert registry.has_blob(manifest["layers"][0]["digest"])


def test_registry_with_referrers_support_gets_no_fallback_tag(tmp_path: Path) -> None:
    built, archive = build(tmp_path)
    with referrers.registry() as (host, store):
        registry = Registry(Reference.parse(f"{host}/try/attached:1"))
        documents = [publish.Attachment(BOM, b'{"bom": 1}'), publish.Attachment(PROVENANCE, b"{}")]
        for _ in range(2):
            assert list(publish.publish(archive, registry, documents))[-1] == "  tag 1"
        found = {one["artifactType"]: one["digest"] for one in registry.referrers(built.digest)}
        assert set(found) == {BOM, PROVENANCE}
        assert len(store.subjects[built.digest]) == 2
        # No tag is created for them where the registry needs none.
        assert [name for name in store.manifests if not name.startswith("sha256:")] == ["1"]


def test_document_for_a_missing_image_is_refused(host: str) -> None:
    registry = Registry(Reference.parse(f"{host}/try/none:1"))
    with pytest.raises(OciError, match="push the image first"):
        publish.attach("sha256:" + "0" * 64, BOM, b"{}", registry)


def test_credentials_are_sent_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    built, archive = build(tmp_path)
    bom = tmp_path / "bom.json"
    bom.write_text("{}")
    with registries.registry(tmp_path, "ada", "secret") as address:
        arguments = [str(archive), f"{address}/try/it:1", "--attach", f"{BOM}={bom}"]
        monkeypatch.setenv("OCI_CREDENTIALS", "ada:wrong")
        assert publish.main(arguments) == 1
        assert "HTTP 401: log in (`docker login`" in capsys.readouterr().err
        monkeypatch.setenv("OCI_CREDENTIALS", "ada:secret")
        assert publish.main(arguments) == 0
        assert capsys.readouterr().out.startswith(f"{address}/try/it@{built.digest}\n  {BOM} sha2")


def test_token_is_requested_for_each_scope(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _, archive = build(tmp_path)
    with (
        tokens.service(tmp_path, "ada", "secret") as service,
        registries.registry(tmp_path, tokens=service) as address,
    ):
        monkeypatch.setenv("OCI_CREDENTIALS", "ada:wrong")
        assert publish.main([str(archive), f"{address}/try/it:1"]) == 1
        assert "HTTP 401: log in" in capsys.readouterr().err
        monkeypatch.setenv("OCI_CREDENTIALS", "ada:secret")
        assert publish.main([str(archive), f"{address}/try/it:1"]) == 0
        # A registry requests a smaller scope for reading, so one token is not enough.
        assert service.asked[0] == "repository:try/it:pull"
        place, actions = service.asked[1].rsplit(":", 1)
        assert place == "repository:try/it"
        # The registry lists the scopes in any order.
        assert sorted(actions.split(",")) == ["pull", "push"]


def test_document_can_refer_to_one_image_of_an_index(
    tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, one = build(tmp_path, "amd64")
    arm64, two = build(tmp_path, "arm64", tag="arm64")
    joined = index([one, two], "try/it:1", "//:index", tmp_path / "index.tar")
    bom = tmp_path / "bom.json"
    bom.write_text("{}")
    arguments = [str(tmp_path / "index.tar"), f"{host}/try/indexed:1"]
    assert publish.main([*arguments, "--attach", f"{BOM}={bom}@{arm64.digest}"]) == 0
    registry = Registry(Reference.parse(f"{host}/try/indexed:1"))
    assert [one["artifactType"] for one in registry.referrers(arm64.digest)] == [BOM]
    assert registry.referrers(joined.digest) == []


def test_signing_command_gets_the_digest(
    tmp_path: Path, host: str, capfd: pytest.CaptureFixture[str]
) -> None:
    built, archive = build(tmp_path)
    note = tmp_path / "note"
    program = f"import sys; open({str(note)!r}, 'w').write(repr(sys.argv[1:]))"
    command = shlex.join([sys.executable, "-c", program, "--yes"])
    assert publish.main([str(archive), f"{host}/try/signed:1", "--sign", command]) == 0
    assert note.read_text() == repr(["--yes", f"{host}/try/signed@{built.digest}"])


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("sh -c 'exit 3'", "was not signed: sh ended with exit code 3, so its tag was not moved"),
        ("/no/such/program", "the command that signs does not run: "),
        ("sign 'it", "cannot be read: No closing quotation"),
        (" ", "the command that signs is empty"),
    ],
)
def test_tag_does_not_move_when_signing_fails(
    tmp_path: Path, host: str, capfd: pytest.CaptureFixture[str], command: str, complaint: str
) -> None:
    before, archive = build(tmp_path / "one", content=b"1")
    reference = f"{host}/try/unsigned:1"
    assert publish.main([str(archive), reference]) == 0
    after, archive = build(tmp_path / "two", content=b"2")
    assert publish.main([str(archive), reference, "--move-tags", "--sign", command]) == 1
    assert complaint in capfd.readouterr().err
    registry = Registry(Reference.parse(reference))
    assert registry.manifest("1") == registry.manifest(before.digest)
    assert registry.manifest("1") != registry.manifest(after.digest)


@pytest.mark.parametrize("word", ["x", "type=none.json", "a/b=none.json"])
def test_invalid_attachment_is_refused(
    tmp_path: Path, host: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, archive = build(tmp_path)
    assert publish.main([str(archive), f"{host}/try/it:1", "--attach", word]) == 1
    assert f"--attach {word}: expected is TYPE=FILE" in capsys.readouterr().err


def test_tag_of_another_image_moves_only_when_told(
    tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before, one = build(tmp_path / "one", content=b"1")
    after, two = build(tmp_path / "two", content=b"2")
    reference = f"{host}/try/moved:1"
    registry = Registry(Reference.parse(reference))
    for _ in range(2):
        assert publish.main([str(one), reference]) == 0
    assert publish.main([str(two), reference]) == 1
    said = capsys.readouterr().err
    assert f"try/moved:1 is {before.digest} and would become {after.digest}" in said
    # Nothing of the other image was pushed.
    assert registry.manifest(after.digest) is None
    assert publish.main([str(two), reference, "--move-tags"]) == 0
    assert registry.manifest("1") == registry.manifest(after.digest)


def test_each_document_is_signed_by_the_key(
    tmp_path: Path, host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    built, archive = build(tmp_path)
    _, public = signed.keys(tmp_path)
    bom = tmp_path / "bom.json"
    bom.write_text('{"bomFormat": "CycloneDX"}')
    arguments = [str(archive), f"{host}/try/keyed:1", "--attach", f"{BOM}={bom}"]
    assert publish.main([*arguments, "--key", str(tmp_path / "none.pem")]) == 1
    assert "none.pem: cannot be read as an Ed25519 or ECDSA key" in capsys.readouterr().err
    assert publish.main([*arguments, "--key", str(tmp_path / "ours.pem")]) == 0
    registry = Registry(Reference.parse(f"{host}/try/keyed:1"))
    found = {one["artifactType"]: one for one in registry.referrers(built.digest)}
    assert set(found) == {BOM, dsse.MEDIA_TYPE}
    kind = "https://cyclonedx.org/bom"
    assert found[dsse.MEDIA_TYPE]["annotations"] == {"in-toto.io/predicate-type": kind}
    manifest = json.loads(registry.manifest(found[dsse.MEDIA_TYPE]["digest"]) or b"")
    envelope = dsse.Envelope.parse(registry.blob(manifest["layers"][0]["digest"]))
    assert envelope.signed_by(public)
    statement = statements.Statement.parse(envelope.payload)
    assert (set(statement.subjects), statement.kind) == ({built.digest}, kind)


def test_unreachable_registry_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(transport, "_PAUSE", 0.01)
    _, archive = build(tmp_path)
    assert publish.main([str(archive), "127.0.0.1:1/try/it:1"]) == 1
    assert "oci: 127.0.0.1:1: GET /v2/try/it/manifests/1: " in capsys.readouterr().err


@pytest.mark.parametrize("text", ["app:1", "host/app", "host/App:1", "https://host/app:1"])
def test_incomplete_reference_is_refused(text: str) -> None:
    with pytest.raises(OciError, match="is not HOST/NAME:TAG"):
        Reference.parse(text)


def test_file_that_is_not_an_archive_is_refused(tmp_path: Path, host: str) -> None:
    with tarfile.open(tmp_path / "x.tar", "w"):
        pass
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(OciError, match=r"x.txt: cannot be read as an archive of an image"):
        publish.push(tmp_path / "x.txt", Registry(Reference.parse(f"{host}/a:1")))
    with pytest.raises(OciError, match=r"no index.json in it, so it is no archive of an image"):
        publish.push(tmp_path / "x.tar", Registry(Reference.parse(f"{host}/a:1")))
