"""Each way to forge what is attached to an image is noticed; a stand-in registry holds it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.build.oci import dsse, provenance, publish, statements, stores, verify
from ops.build.oci.archive import index
from ops.build.oci.config import encode
from ops.build.oci.keys import PrivateKey, PublicKey
from ops.build.oci.links import Status
from ops.build.oci.publish import Attachment
from ops.build.oci.registry import Reference, Registry
from tests.ops.build.oci import referrers, registries, signed
from tests.ops.build.oci.referrers import Store
from tests.ops.build.oci.samples import build
from tests.ops.build.oci.signed import Image

PREDICATE = "in-toto.io/predicate-type"


class Place:
    """An image in the stand-in registry, published and signed by our key."""

    def __init__(self, folder: Path, host: str, store: Store) -> None:
        self.folder, self.store = folder, store
        self.registry = Registry(Reference.parse(f"{host}/try/it:1"))
        self.key, self.public = signed.keys(folder)
        self.image = signed.image(folder / "new", "2.0-1")
        self.image.publish(self.registry, self.key)

    def forget(self, artifact_type: str) -> None:
        """Remove the documents of this type."""
        known = self.store.subjects[self.image.digest]
        known[:] = [one for one in known if one["artifactType"] != artifact_type]

    def attach(self, payload: bytes, key: PrivateKey, kind: str = "x") -> None:
        """Attach a statement in an envelope."""
        envelope = statements.sign(payload, key).encode()
        note = {PREDICATE: kind}
        publish.attach(self.image.digest, dsse.MEDIA_TYPE, envelope, self.registry, note)

    def payloads(self, image: Image) -> list[bytes]:
        """The statements about an image."""
        return [
            statements.statement(one.media_type, one.content, "it", image.digest)
            for one in image.documents
        ]

    def failures(self, *keys: PublicKey, builder: str = "") -> list[tuple[Status, str, str]]:
        """The links that do not hold."""
        return failures(
            self.registry, self.image.digest, *(keys or (self.public,)), builder=builder
        )


def failures(
    registry: Registry, digest: str, *keys: PublicKey, builder: str = ""
) -> list[tuple[Status, str, str]]:
    name = registry.reference.repository
    store = stores.find(f"{name}@{digest}")
    links = verify.image(store, store.digest, keys, builder)
    return [(one.status, one.name, one.text) for one in links if not one.holds]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with referrers.registry() as (host, store):
        yield Place(tmp_path, host, store)


def names(found: list[tuple[Status, str, str]]) -> list[tuple[Status, str]]:
    return [(status, name) for status, name, _ in found]


def test_published_image_is_verified_link_by_link(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    image = f"{place.registry.reference.repository}@{place.image.digest}"
    key = place.folder / "ours.pub"
    assert verify.main([image, "--key", str(key), "--builder", signed.BUILDER]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[:-1]] == [
        *("image", "provenance", "layers", "builder", "source", "inputs", "built", "SBOM")
    ]
    assert lines[-1] == "verify: verified"
    assert f"commit {'a' * 40}" in lines[4]


def test_debians_registry_keeps_what_is_verified(tmp_path: Path) -> None:
    image = signed.image(tmp_path / "one")
    key, public = signed.keys(tmp_path)
    with registries.registry(tmp_path) as host:
        registry = Registry(Reference.parse(f"{host}/try/it:1"))
        image.publish(registry, key)
        assert failures(registry, image.digest, public) == []


def test_tampered_statement_is_noticed(place: Place) -> None:
    place.forget(dsse.MEDIA_TYPE)
    for payload in place.payloads(place.image):
        envelope = statements.sign(payload, place.key)
        forged = dsse.Envelope(
            payload.replace(b"2.0-1", b"2.0-9"), envelope.payload_type, envelope.signatures
        )
        publish.attach(place.image.digest, dsse.MEDIA_TYPE, forged.encode(), place.registry)
    found = place.failures()
    assert names(found)[:2] == [(Status.WRONG, "signature")] * 2
    assert "says that ours.pub signed it, which is not so" in found[0][2]
    assert (Status.MISSING, "provenance") in names(found)
    assert (Status.MISSING, "SBOM") in names(found)


def test_statements_of_another_image_are_noticed(place: Place) -> None:
    place.forget(dsse.MEDIA_TYPE)
    other = signed.image(place.folder / "other", "9.0-1")
    for payload in place.payloads(other):
        place.attach(payload, place.key)
    found = place.failures()
    assert names(found)[:2] == [(Status.WRONG, "subject")] * 2
    assert f"is about {other.digest}, another image" in found[0][2]
    assert (Status.MISSING, "provenance") in names(found)


def test_replayed_documents_of_an_older_image_are_noticed(place: Place) -> None:
    older = signed.image(place.folder / "older", "1.0-1")
    older.publish(place.registry, place.key)
    # Whoever can write to the registry lists the older documents for the new image.
    listed = place.store.subjects
    listed[place.image.digest] = list(listed[older.digest])
    found = place.failures()
    assert (Status.WRONG, "subject") in names(found)
    assert f"is attached to {older.digest}" in found[0][2]
    assert (Status.MISSING, "provenance") in names(found)


def test_statement_of_an_unknown_key_counts_as_missing(place: Place) -> None:
    place.forget(dsse.MEDIA_TYPE)
    theirs, _ = signed.keys(place.folder, "theirs")
    for payload in place.payloads(place.image):
        place.attach(payload, theirs)
    assert (Status.MISSING, "provenance") in names(place.failures())
    assert (Status.MISSING, "SBOM") in names(place.failures())


def test_signature_of_another_key_under_our_name_is_noticed(place: Place) -> None:
    theirs, _ = signed.keys(place.folder, "theirs")
    (payload, _) = place.payloads(place.image)
    envelope = statements.sign(payload, theirs)
    forged = dsse.Envelope(
        payload,
        envelope.payload_type,
        {place.public.keyid: next(iter(envelope.signatures.values()))},
    )
    publish.attach(place.image.digest, dsse.MEDIA_TYPE, forged.encode(), place.registry)
    assert names(place.failures()) == [(Status.WRONG, "signature")]


@pytest.mark.parametrize(
    ("kind", "missing"),
    [(statements.PROVENANCE, "provenance"), (statements.BILL, "SBOM")],
)
def test_missing_document_is_named(place: Place, kind: str, missing: str) -> None:
    place.forget(dsse.MEDIA_TYPE)
    for payload in place.payloads(place.image):
        if statements.Statement.parse(payload).kind != kind:
            place.attach(payload, place.key)
    found = names(place.failures())
    assert (Status.MISSING, missing) in found


def test_unsigned_copy_that_differs_is_noticed(place: Place) -> None:
    place.forget(statements.BILL_TYPE)
    forged = place.image.documents[0].content.replace(b"2.0-1", b"2.0-2")
    publish.attach(place.image.digest, statements.BILL_TYPE, forged, place.registry)
    assert names(place.failures()) == [(Status.WRONG, "copy")]


def test_signed_documents_must_match_the_content(place: Place) -> None:
    place.forget(dsse.MEDIA_TYPE)
    bill, made = place.payloads(place.image)
    place.attach(bill.replace(b"one@2.0-1", b"one@2.0-0"), place.key)
    document = json.loads(made)
    document["predicate"]["runDetails"]["byproducts"][0]["digest"]["sha256"] = "0" * 64
    place.attach(encode(document), place.key)
    found = names(place.failures())
    assert (Status.WRONG, "SBOM") in found
    assert (Status.WRONG, "built") in found


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda said: said["buildDefinition"]["resolvedDependencies"].pop(0), "source"),
        (lambda said: said["buildDefinition"]["resolvedDependencies"][1].pop("digest"), "inputs"),
    ],
)
def test_provenance_without_source_or_digests_is_incomplete(
    place: Place, change: Callable[..., object], name: str
) -> None:
    place.forget(dsse.MEDIA_TYPE)
    place.forget(provenance.MEDIA_TYPE)
    bill, made = place.payloads(place.image)
    document = json.loads(made)
    change(document["predicate"])
    for payload in (bill, encode(document)):
        place.attach(payload, place.key)
    assert names(place.failures()) == [(Status.MISSING, name)]


def test_every_given_key_must_have_signed(place: Place) -> None:
    theirs, public = signed.keys(place.folder, "theirs")
    found = place.failures(place.public, public)
    assert names(found) == [(Status.MISSING, "provenance")]
    assert "theirs.pub" in found[0][2]
    place.attach(place.payloads(place.image)[1], theirs)
    assert place.failures(place.public, public) == []


def test_other_builder_is_noticed(place: Place) -> None:
    found = place.failures(builder="urn:example:another")
    assert names(found) == [(Status.MISSING, "builder")]


def test_signed_statement_without_its_fields_is_noticed(place: Place) -> None:
    document = json.loads(place.payloads(place.image)[0])
    document["predicate"] = {"metadata": {}}
    place.forget(statements.BILL_TYPE)
    place.attach(encode(document), place.key)
    assert names(place.failures()) == [(Status.WRONG, "statement")]


def test_archive_with_its_documents_is_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = signed.image(tmp_path / "it")
    key, _ = signed.keys(tmp_path)
    arguments = [str(image.file), "--key", str(tmp_path / "ours.pub")]
    assert verify.main(arguments) == 1
    assert "MISSING  provenance" in capsys.readouterr().out
    store = stores.LayoutStore(image.file)
    payloads = [
        statements.statement(one.media_type, one.content, "it", image.digest)
        for one in image.documents
    ]
    stores.write(store, [statements.sign(one, key).encode() for one in payloads])
    assert verify.main(arguments) == 0
    # The documents of another archive are noticed, too.
    other = signed.image(tmp_path / "other", "5.0-1")
    other.file.with_name("it.attestations.jsonl").write_bytes(
        image.file.with_name("it.attestations.jsonl").read_bytes()
    )
    assert verify.main([str(other.file), "--key", str(tmp_path / "ours.pub")]) == 1
    assert "WRONG    subject" in capsys.readouterr().out


def test_index_is_verified_with_its_images(tmp_path: Path) -> None:
    one, first = build(tmp_path, "amd64")
    two, second = build(tmp_path, "arm64", tag="arm64")
    joined = index([first, second], "try/it:1", "//:index", tmp_path / "both.tar")
    key, public = signed.keys(tmp_path)
    images = {"linux/amd64": one.digest, "linux/arm64": two.digest}
    form: dict[str, object] = {"compression": "none", "annotations": {}}
    named = "//:index", joined.digest, "try/it:1"
    made = provenance.index(*named, images, signed.BUILDER, form, signed.SOURCE)
    with referrers.registry() as (host, _):
        registry = Registry(Reference.parse(f"{host}/try/both:1"))
        signers = publish.Signers(key)
        document = Attachment(provenance.MEDIA_TYPE, made.encode())
        list(publish.publish(tmp_path / "both.tar", registry, [document], signers))
        found = failures(registry, joined.digest, public)
    # Each image needs documents of its own.
    assert names(found) == [(Status.MISSING, "provenance"), (Status.MISSING, "SBOM")] * 2


def test_damaged_layer_is_noticed(place: Place) -> None:
    manifest = json.loads(place.store.manifests[place.image.digest][1])
    layer = manifest["layers"][0]["digest"]
    place.store.blobs[layer] = b"other" + place.store.blobs[layer]
    found = place.failures()
    assert names(found) == [(Status.WRONG, "layers")]
    assert f"what it has for {layer} is sha256:" in found[0][2]


@pytest.mark.parametrize("text", ["no/such.tar", "./x", "app"])
def test_unknown_image_is_explained(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    signed.keys(tmp_path)
    assert verify.main([text, "--key", str(tmp_path / "ours.pub")]) == 1
    assert "no such archive or directory" in capsys.readouterr().err
