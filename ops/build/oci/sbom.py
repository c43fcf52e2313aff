"""The bill of materials of an image: reproducible CycloneDX 1.6."""

import re
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component as Part
from cyclonedx.model.component import ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from ops.build.oci.components import Component
from ops.build.oci.layer import Layer

_NAMESPACE = uuid.UUID("6e5f5d2c-6f0c-4c5b-9d6e-0f7d2a0c7b11")


def locked_hashes(lock: str) -> dict[tuple[str, str], list[str]]:
    """SHA-256 of the files that a requirements lock allows, by name and version, sorted.

    A lock does not distinguish files: the wheel in an image is one of them.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for name, version, rest in re.findall(
        r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)((?:[^\n]*\\\n)*[^\n]*)", lock, re.MULTILINE
    ):
        key = (re.sub(r"[-_.]+", "-", name).lower(), version)
        found[key] = sorted(re.findall(r"--hash=sha256:([0-9a-f]{64})", rest))
    return found


def cyclonedx(
    digest: str, reference: str, platform: str, layers: Iterable[Layer], locks: Iterable[str] = ()
) -> str:
    """The document for an image with this manifest digest; each package names its layer.

    ``locks`` are texts of requirements locks, for the hashes of wheels. The serial number is
    derived from the digest, and the time is that of the image, 1970.
    """
    allowed: dict[tuple[str, str], list[str]] = {}
    for lock in locks:
        allowed |= locked_hashes(lock)
    image = Part(
        name=reference.rpartition(":")[0],
        version=digest,
        type=ComponentType.CONTAINER,
        bom_ref="image",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest.removeprefix("sha256:"))],
        properties=[Property(name="platform", value=platform)],
    )
    parts = {
        str(part.bom_ref): part
        for one in layers
        for part in (_part(component, one, allowed) for component in one.components)
    }
    bom = Bom(
        serial_number=uuid.uuid5(_NAMESPACE, digest),
        metadata=BomMetaData(component=image, timestamp=datetime.fromtimestamp(0, UTC)),
        components=parts.values(),
    )
    bom.register_dependency(image, parts.values())
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _part(
    component: Component, within: Layer, allowed: Mapping[tuple[str, str], list[str]]
) -> Part:
    name = purl(component)
    checksums = [component.sha256] if component.sha256 else []
    if component.kind == "pypi":
        checksums = allowed.get((component.name, component.version), [])
    # A single hash is the file's; of several it is one.
    checksum = checksums[0] if len(checksums) == 1 else ""
    return Part(
        name=component.name,
        version=component.version,
        type=ComponentType.LIBRARY,
        bom_ref=name.to_string(),
        purl=name,
        licenses=_licences(component.licences),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else None,
        properties=[
            Property(name="layer", value=within.digest),
            Property(name="layer:target", value=within.origin),
            *(Property(name="locked:sha256", value=one) for one in checksums),
        ],
    )


def purl(component: Component) -> PackageURL:
    """The universal name of a package (package URL specification)."""
    if component.kind == "pypi":
        return PackageURL("pypi", None, component.name, component.version)
    qualifiers = {"arch": component.architecture, "distro": "debian-13"}
    if component.source:
        qualifiers["upstream"] = component.source.split(" ")[0]
    return PackageURL("deb", "debian", component.name, component.version, qualifiers)


def _licences(names: Iterable[str]) -> list[License]:
    licences = [LicenseFactory().make_from_string(name) for name in names]
    if len(licences) > 1:
        # The format allows either one expression or several plain licences.
        return [
            one if isinstance(one, DisjunctiveLicense) else DisjunctiveLicense(name=name)
            for one, name in zip(licences, names, strict=True)
        ]
    return licences
