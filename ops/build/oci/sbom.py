"""The bill of materials of an image: reproducible CycloneDX 1.6."""

import re
import uuid
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component as Part
from cyclonedx.model.component import ComponentType
from cyclonedx.model.license import DisjunctiveLicense, License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from ops.build.oci import edges, wheel_files
from ops.build.oci.components import Component
from ops.build.oci.embedded import Part as Embedded
from ops.build.oci.layer import Layer

_NAMESPACE = uuid.UUID("6e5f5d2c-6f0c-4c5b-9d6e-0f7d2a0c7b11")


class Hashes:
    """The hashes of wheels, from the texts of locks and of the lists beside them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._allowed: dict[tuple[str, str], list[str]] = {}
        self._files: dict[tuple[str, str], list[tuple[frozenset[str], str]]] = {}
        for text in texts:
            self._allowed |= locked_hashes(text)
            self._files |= wheel_files.read(text)

    def of(self, component: Component) -> list[str]:
        """The SHA-256 of a component's file; several if the lock leaves open which one it was."""
        if component.kind != "pypi":
            return [component.sha256] if component.sha256 else []
        allowed = self._allowed.get((component.name, component.version), [])
        real = wheel_files.sha256(component, self._files)
        return [real] if real in allowed else allowed


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

    ``locks`` are texts of requirements locks and of the lists of their wheels, for hashes. The
    serial number is derived from the digest, and the time is that of the image, 1970.
    """
    hashes = Hashes(locks)
    image = Part(
        name=reference.rpartition(":")[0],
        version=digest,
        type=ComponentType.CONTAINER,
        bom_ref="image",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest.removeprefix("sha256:"))],
        properties=[Property(name="platform", value=platform)],
    )
    read = list(layers)
    known = [component for one in read for component in one.components]
    licences = {_source(one): one.licences for one in known if one.licences}
    parts: dict[edges.Key, Part] = {}
    for one in read:
        for component in one.components:
            # Its documentation may be a link to that of a package in another layer.
            shared = component.licences or licences.get(_source(component), ())
            stated = replace(component, licences=shared)
            parts[edges.key(component)] = _part(stated, one, hashes.of(component))
    bom = Bom(
        serial_number=uuid.uuid5(_NAMESPACE, digest),
        metadata=BomMetaData(component=image, timestamp=datetime.fromtimestamp(0, UTC)),
        components=parts.values(),
    )
    required = edges.edges(known, platform)
    below = {name for names in required.values() for name in names}
    # The image itself has what nothing in it requires.
    bom.register_dependency(image, [parts[name] for name in parts if name not in below])
    for name, names in required.items():
        bom.register_dependency(parts[name], [*(parts[one] for one in names)])
    for part in parts.values():
        for inner in part.components:
            bom.register_dependency(part, [inner])
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _source(component: Component) -> tuple[str, str]:
    """The source package that a binary package was built from."""
    return component.kind, component.source.split(" ")[0] or component.name


def _part(component: Component, within: Layer, checksums: list[str]) -> Part:
    application = component.kind == "app"
    name = None if application else purl(component)
    # A single hash is the file's; of several it is one.
    checksum = checksums[0] if len(checksums) == 1 else ""
    reference = name.to_string() if name else f"app:{component.name}"
    return Part(
        name=component.name,
        version=component.version or None,
        type=ComponentType.APPLICATION if application else ComponentType.LIBRARY,
        bom_ref=reference,
        purl=name,
        licenses=_licences(component.licences),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else None,
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.BOM,
                url=XsUri(f"file:///{path}"),
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=sha256)],
            )
            for path, sha256 in component.bills
        ],
        components=[_embedded(one, reference) for one in component.parts],
        properties=[
            Property(name="layer", value=within.digest),
            Property(name="layer:target", value=within.origin),
            *(Property(name="locked:sha256", value=one) for one in checksums if not checksum),
        ],
    )


def _embedded(part: Embedded, within: str) -> Part:
    try:
        url = PackageURL.from_string(part.purl)
    except ValueError:
        url = None
    return Part(
        name=part.name,
        version=part.version or None,
        type=ComponentType.LIBRARY,
        bom_ref=f"{within}#{part.purl or part.name}",
        purl=url,
        licenses=_licences([part.licence] if part.licence else []),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=part.sha256)] if part.sha256 else None,
        properties=[Property(name="sbom", value=part.bill)],
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
