"""The two layers of a Python application: its third-party packages and its sources."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePath
from typing import Tuple

from pants.backend.python.subsystems.setup import PythonSetup
from pants.backend.python.target_types import PexCompletePlatformsField, PythonResolveField
from pants.backend.python.util_rules import pex_venv, python_sources
from pants.backend.python.util_rules.pex import CompletePlatforms, Pex, PexRequest
from pants.backend.python.util_rules.pex_from_targets import PexFromTargetsRequest
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
    GlobMatchErrorBehavior,
    MergeDigests,
    PathGlobs,
)
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.engine.target import (
    InvalidTargetException,
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
    machine = MACHINES[request.platform]
    described = await Get(DigestContents, Digest, platforms.digest)
    fitting = [
        one.path
        for one in described
        if json.loads(one.content)["marker_environment"]["platform_machine"] == machine
    ]
    if len(fitting) != 1:
        raise InvalidTargetException(
            f"{request.image}: field 'pex' names {targets[0].address}, of whose complete_platforms "
            f"{len(fitting)} are for {machine}; give it one for each machine (3rdparty/platforms)"
        )
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
        Get(Digest, DigestSubset(platforms.digest, PathGlobs(fitting))),
    )
    packages = await Get(Pex, PexRequest, packages_request)
    flat, source_folder = await MultiGet(
        Get(
            PexVenv,
            PexVenvRequest(
                pex=packages,
                layout=PexVenvLayout.FLAT,
                output_path=PurePath("packages"),
                description=f"Lay out the third-party packages of {request.image}",
                complete_platforms=CompletePlatforms(fitting, digest=platform),
            ),
        ),
        Get(Digest, AddPrefix(sources.stripped_source_files.snapshot.digest, "sources")),
    )
    lock = python.resolves[targets[0][PythonResolveField].normalized_value(python)]
    compiler, eu_strip, lock_file = await MultiGet(
        Get(Programs, ProgramsRequest, interpreter(options)),
        Get(Programs, ProgramsRequest, stripper(options)),
        Get(
            Digest,
            PathGlobs(
                [lock], GlobMatchErrorBehavior.error, description_of_origin="[python].resolves"
            ),
        ),
    )
    locks = await Get(Digest, MergeDigests((compiler.lock, eu_strip.lock, lock_file)))
    made = []
    for folder, into, digest, comment in (
        ("packages", PACKAGES, flat.digest, "third-party Python packages"),
        ("sources", SOURCES, source_folder, "our Python sources"),
    ):
        packaged = folder == "packages"
        record, archive = layer_files(folder)
        spec = as_json(
            request.image,
            architecture=architecture(request.platform),
            comment=comment,
            output=record,
            folder=folder,
            into=into,
            interpreter=INTERPRETER,
            installed=packaged,
            stripper=STRIPPER if packaged and options.stripper else "",
        )
        what = f"Build the layer of {comment} of {request.image}"
        shared = (*compiler.at(INTERPRETER), *(eu_strip.at(STRIPPER) if packaged else ()))
        step = Step("python", spec, digest, what, files=(record, archive), shared=shared)
        made.append((record, step))
    results = await MultiGet(Get(StepResult, Step, step) for _, step in made)
    return PythonLayers(*(Layer(made[i][0], one.digest, locks) for i, one in enumerate(results)))


def rules():
    return [*collect_rules(), *pex_venv.rules(), *python_sources.rules()]
