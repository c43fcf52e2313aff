"""The two layers of a Python application: its third-party packages and its sources."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Iterable, Tuple

from pants.backend.python.subsystems.setup import PythonSetup
from pants.backend.python.target_types import (
    PexCompletePlatformsField,
    PythonRequirementsField,
    PythonResolveField,
)
from pants.backend.python.util_rules import pex_venv, python_sources
from pants.backend.python.util_rules.pex import CompletePlatforms, Pex, PexRequest
from pants.backend.python.util_rules.pex_from_targets import PexFromTargetsRequest
from pants.backend.python.util_rules.pex_requirements import PexRequirements
from pants.backend.python.util_rules.pex_venv import PexVenv, PexVenvLayout, PexVenvRequest
from pants.backend.python.util_rules.python_sources import (
    PythonSourceFilesRequest,
    StrippedPythonSourceFiles,
)
from pants.engine.addresses import Address, Addresses
from pants.engine.fs import (
    AddPrefix,
    Digest,
    DigestContents,
    DigestSubset,
    GlobExpansionConjunction,
    GlobMatchErrorBehavior,
    MergeDigests,
    PathGlobs,
)
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.engine.target import (
    InvalidTargetException,
    Target,
    Targets,
    TransitiveTargets,
    TransitiveTargetsRequest,
)
from pants.util.logging import LogLevel

from oci_images.builder import OciImages, Step, StepResult, as_json
from oci_images.layers import (
    INTERPRETER,
    STRIPPER,
    Layer,
    Programs,
    ProgramsRequest,
    architecture,
    interpreter,
    layer_files,
    require,
    stripper,
)

PACKAGES = "/app/site-packages"
SOURCES = "/app/src"
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}


@dataclass(frozen=True)
class PythonLayersRequest:
    image: Address
    pexes: Addresses
    platform: str
    excluded: Tuple[str, ...] = ()


@dataclass(frozen=True)
class PythonLayers:
    """The layers of third-party packages and of sources."""

    packages: Layer
    sources: Layer


@rule(desc="Build Python layers", level=LogLevel.DEBUG)
async def build_python_layers(
    request: PythonLayersRequest, python: PythonSetup, options: OciImages
) -> PythonLayers:
    targets, transitive = await MultiGet(
        Get(Targets, Addresses, request.pexes),
        Get(TransitiveTargets, TransitiveTargetsRequest(request.pexes)),
    )
    require(targets, PexCompletePlatformsField, "pex_binary targets", request.image, "pex")
    platforms = await Get(
        CompletePlatforms, PexCompletePlatformsField, targets[0][PexCompletePlatformsField]
    )
    described = await Get(DigestContents, Digest, platforms.digest)
    fitting = _fitting(described, request, targets[0].address)
    # Without sources, the packages' layer does not depend on them, and survives an edit.
    packages_request, sources, platform = await MultiGet(
        Get(
            PexRequest,
            PexFromTargetsRequest(
                request.pexes,
                output_filename="packages.pex",
                internal_only=False,
                complete_platforms=platforms,
                include_source_files=False,
                additional_args=[f"--exclude={name}" for name in request.excluded],
            ),
        ),
        Get(
            StrippedPythonSourceFiles,
            PythonSourceFilesRequest(transitive.closure, include_resources=True),
        ),
        Get(Digest, DigestSubset(platforms.digest, PathGlobs([fitting]))),
    )
    packages = await Get(Pex, PexRequest, packages_request)
    flat, source_folder = await MultiGet(
        Get(
            PexVenv,
            PexVenvRequest,
            _flat(packages, CompletePlatforms([fitting], digest=platform), request.image),
        ),
        Get(Digest, AddPrefix(sources.stripped_source_files.snapshot.digest, "sources")),
    )
    compiler, eu_strip, lock_file = await MultiGet(
        Get(Programs, ProgramsRequest, interpreter(options)),
        Get(Programs, ProgramsRequest, stripper(options)),
        Get(Digest, PathGlobs, _lock(targets[0], python)),
    )
    locks = await Get(Digest, MergeDigests((compiler.lock, eu_strip.lock, lock_file)))
    steps = (
        _step(
            request,
            flat.digest,
            "packages",
            PACKAGES,
            "third-party Python packages",
            (*compiler.at(INTERPRETER), *eu_strip.at(STRIPPER)),
            stripper=STRIPPER if options.stripper else "",
        ),
        _step(
            request,
            source_folder,
            "sources",
            SOURCES,
            "our Python sources",
            compiler.at(INTERPRETER),
            requires=list(_requirements(transitive)),
        ),
    )
    results = await MultiGet(Get(StepResult, Step, step) for step in steps)
    return PythonLayers(
        *(Layer(step.files[0], one.digest, locks) for step, one in zip(steps, results))
    )


def _fitting(described: DigestContents, request: PythonLayersRequest, pex: Address) -> str:
    """The path of the only complete platform for the machine of the request."""
    machine = MACHINES[request.platform]
    fitting = [
        one.path
        for one in described
        if json.loads(one.content)["marker_environment"]["platform_machine"] == machine
    ]
    if len(fitting) != 1:
        raise InvalidTargetException(
            f"{request.image}: field 'pex' names {pex}, of whose complete_platforms "
            f"{len(fitting)} are for {machine}; give it one for each machine (3rdparty/platforms)"
        )
    return fitting[0]


def _flat(packages: Pex, platform: CompletePlatforms, image: Address) -> PexVenvRequest:
    return PexVenvRequest(
        pex=packages,
        layout=PexVenvLayout.FLAT,
        output_path=PurePath("packages"),
        description=f"Lay out the third-party packages of {image}",
        complete_platforms=platform,
    )


def _requirements(transitive: TransitiveTargets) -> Iterable[str]:
    """What the sources require of third parties, as their requirements files state it."""
    return PexRequirements.req_strings_from_requirement_fields(
        target[PythonRequirementsField]
        for target in transitive.closure
        if target.has_field(PythonRequirementsField)
    )


def _lock(pex: Target, python: PythonSetup) -> PathGlobs:
    """The lockfile of the resolve of the target, and the list of its wheels, if there is one."""
    lock = python.resolves[pex[PythonResolveField].normalized_value(python)]
    return PathGlobs(
        [lock, f"{PurePath(lock).with_suffix('.wheels')}"],
        GlobMatchErrorBehavior.error,
        GlobExpansionConjunction.any_match,
        description_of_origin="[python].resolves",
    )


def _step(
    request: PythonLayersRequest,
    digest: Digest,
    folder: str,
    into: str,
    comment: str,
    programs: tuple[tuple[str, Digest], ...],
    **more: Any,
) -> Step:
    """The step that builds a layer from the digest's folder. Its first output is the record."""
    record, archive = layer_files(folder)
    spec = as_json(
        request.image,
        architecture=architecture(request.platform),
        comment=comment,
        output=record,
        folder=folder,
        into=into,
        interpreter=INTERPRETER,
        installed=into == PACKAGES,
        **more,
    )
    what = f"Build the layer of {comment} of {request.image}"
    return Step("python", spec, digest, what, files=(record, archive), shared=programs)


def rules():
    return [*collect_rules(), *pex_venv.rules(), *python_sources.rules()]
