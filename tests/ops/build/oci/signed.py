"""A small image with packages, its documents and keys, as `make publish` has them."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ops.build.oci import archive, provenance, publish, sbom, statements
from ops.build.oci.config import Config
from ops.build.oci.entry import file
from ops.build.oci.keys import PrivateKey, PublicKey, create
from ops.build.oci.publish import Attachment, Signers
from ops.build.oci.registry import Registry
from tests.ops.build.oci import samples

SOURCE = {"uri": "https://git.example/team/app", "commit": "a" * 40, "tree": "b" * 40}
BUILDER = "urn:example:builder"
PLATFORM = "linux/amd64"
TARGET = "//:it"
STATUS = "Package: one\nVersion: {0}\nArchitecture: amd64\nSHA256: {1}\n"


@dataclass(frozen=True)
class Image:
    """An archive, and the documents about its image."""

    file: Path
    digest: str
    documents: tuple[Attachment, ...]

    def publish(self, registry: Registry, key: PrivateKey | None) -> list[str]:
        """Push it with its documents, signed if there is a key."""
        signers = Signers(key)
        return list(publish.publish(self.file, registry, self.documents, signers, move_tags=True))


def image(folder: Path, version: str = "1.0-1", source: dict[str, str] | None = None) -> Image:
    """An image of one layer with one package, whose digest depends on the version."""
    folder.mkdir(exist_ok=True)
    digest = sha256(version.encode()).hexdigest()
    status = STATUS.format(version, digest)
    layer, tar = samples.made(folder, "layer", file("var/lib/dpkg/status.d/one", status.encode()))
    output = folder / "it.oci.tar"
    named = PLATFORM, "try/it:1", TARGET
    built = archive.image(Config(), [(layer, tar)], *named, output)
    lock = f"# a lock\namd64 one {version} 10 {digest} pool/main/o/one/one.deb\n"
    form = {"compression": "none", "annotations": {}}
    made = provenance.image(
        TARGET,
        built.digest,
        "try/it:1",
        PLATFORM,
        [layer],
        {"debian.lock": lock.encode()},
        BUILDER,
        form,
        SOURCE if source is None else source,
    )
    bill = sbom.cyclonedx(built.digest, "try/it:1", PLATFORM, [layer], [lock])
    (folder / "it.provenance.json").write_text(made)
    (folder / "it.cdx.json").write_text(bill)
    documents = (
        Attachment(statements.BILL_TYPE, bill.encode(), built.digest),
        Attachment(provenance.MEDIA_TYPE, made.encode(), built.digest),
    )
    return Image(output, built.digest, documents)


def keys(folder: Path, name: str = "ours") -> tuple[PrivateKey, PublicKey]:
    """A new pair of keys."""
    path = folder / f"{name}.pem"
    public = create(path)
    return PrivateKey.read(path), PublicKey.read(public)
