"""Bills of materials and provenance, written beside each archive."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Tuple

from pants.backend.python.util_rules.pex import VenvPexProcess
from pants.core.goals.package import BuiltPackageArtifact
from pants.engine.fs import (
    CreateDigest,
    Digest,
    DigestSubset,
    FileContent,
    MergeDigests,
    PathGlobs,
    Snapshot,
)
from pants.engine.process import ProcessResult
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.util.logging import LogLevel

from oci_images.builder import SPEC, OciImages, Program, ProgramRequest, as_json
from oci_images.layers import Layer

BILL = "application/vnd.cyclonedx+json"
PROVENANCE = "application/vnd.in-toto+json"
#: The annotation that names the repository of the sources.
SOURCE = "org.opencontainers.image.source"


@dataclass(frozen=True)
class DocumentArtifact(BuiltPackageArtifact):
    """A document about the image or index with this digest."""

    media_type: str = ""
    subject: str = ""


@dataclass(frozen=True)
class DocumentsRequest:
    """Documents about an archive, selected by the spec as JSON; ``layers`` are the image's."""

    spec: str
    archive: str
    layers: Tuple[Layer, ...] = ()


@dataclass(frozen=True)
class Documents:
    digest: Digest
    artifacts: Tuple[DocumentArtifact, ...]


def document_file(archive: str, ending: str) -> str:
    """The name of a document next to its archive."""
    stem = archive[: -len(".tar")] if archive.endswith(".tar") else archive
    stem = stem[: -len(".oci")] if stem.endswith(".oci") else stem
    return f"{stem}.{ending}"


def about(address: Any, report: str, reference: str, **more: Any) -> str:
    """The part of the spec that follows from a report of the builder."""
    digest = json.loads(report)["digest"]
    return as_json(address, digest=digest, reference=reference, **more)


@rule(desc="Write an image's documents", level=LogLevel.DEBUG)
async def write_documents(request: DocumentsRequest, options: OciImages) -> Documents:
    spec = json.loads(request.spec)
    provenance = document_file(request.archive, "provenance.json")
    artifacts = [DocumentArtifact(provenance, (), PROVENANCE, spec["digest"])]
    source = dict(options.source)
    if source and SOURCE in options.annotations:
        source.setdefault("uri", options.annotations[SOURCE])
    spec.update(provenance=provenance, builder_id=options.builder_id, source=source)
    inputs = []
    if request.layers:
        bill = document_file(request.archive, "cdx.json")
        artifacts.insert(0, DocumentArtifact(bill, (), BILL, spec["digest"]))
        # Only their records: the archives next to them are large.
        records, locks = await MultiGet(
            Get(
                Digest,
                DigestSubset(
                    await Get(Digest, MergeDigests(layer.digest for layer in request.layers)),
                    PathGlobs(layer.record for layer in request.layers),
                ),
            ),
            Get(Snapshot, MergeDigests(layer.locks for layer in request.layers)),
        )
        records_of_layers = [layer.record for layer in request.layers]
        spec.update(sbom=bill, layers=records_of_layers, locks=locks.files)
        inputs = [records, locks.digest]
    program, spec_file = await MultiGet(
        Get(Program, ProgramRequest(options.documents, options.documents_module)),
        Get(
            Digest,
            CreateDigest([FileContent(SPEC, json.dumps(spec, sort_keys=True).encode())]),
        ),
    )
    written = await Get(
        ProcessResult,
        VenvPexProcess(
            program.pex,
            argv=(SPEC,),
            input_digest=await Get(Digest, MergeDigests([spec_file, *inputs])),
            output_files=[str(one.relpath) for one in artifacts],
            description=f"Write the documents of {spec['origin']}",
        ),
    )
    return Documents(written.output_digest, tuple(artifacts))


def rules():
    return collect_rules()
