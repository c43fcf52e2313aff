"""Rules of the layers: `oci_rootfs`, `oci_files`, and the two layers of a Python application."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePath
from typing import Optional, Tuple

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
from pants.core.util_rules.source_files import SourceFiles, SourceFilesRequest
from pants.engine.addresses import Address, Addresses, UnparsedAddressInputs
from pants.engine.fs import (
    EMPTY_DIGEST,
    AddPrefix,
    Digest,
    DigestContents,
    DigestSubset,
    GlobMatchErrorBehavior,
    MergeDigests,
    PathGlobs,
)
from pants.engine.platform import Platform
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.engine.target import (
    DescriptionField,
    InvalidTargetException,
    Target,
    Targets,
    TransitiveTargets,
    TransitiveTargetsRequest,
    WrappedTarget,
    WrappedTargetRequest,
)
from pants.util.logging import LogLevel

from oci_images import target_types as fields
from oci_images.builder import CACHE, OciImages, Step, StepResult, as_json

PACKAGES = "/app/site-packages"
SOURCES = "/app/src"
INTERPRETER = "interpreter"
TOOLCHAIN = "toolchain"
MACHINES = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}


@dataclass(frozen=True)
class LayerRequest:
    """The layer of an `oci_rootfs` or `oci_files`, for a platform."""

    address: Address
    platform: str


@dataclass(frozen=True)
class Layer:
    """A layer's record and, beside it, its archive; and the locks of what is in it."""

    record: str
    digest: Digest
    locks: Digest = EMPTY_DIGEST


@dataclass(frozen=True)
class Interpreter:
    """In the folder INTERPRETER, the one that compiles, unpacked; and the lock of its packages."""

    digest: Digest
    lock: Digest

    @property
    def shared(self) -> Tuple[Tuple[str, Digest], ...]:
        """What a step that compiles shares with others."""
        return ((TOOLCHAIN, self.digest),)


@dataclass(frozen=True)
class RootfsPlanRequest:
    address: Address


@dataclass(frozen=True)
class RootfsPlan:
    """What an `oci_rootfs` is made from: its lock, and the locks of those it lies on."""

    target: Target
    lock: Optional[str]
    below: Tuple[str, ...]
    locks: Digest


@dataclass(frozen=True)
class PythonLayersRequest:
    image: Address
    pexes: Addresses
    platform: str


@dataclass(frozen=True)
class PythonLayers:
    """The layers of third-party packages and of sources."""

    packages: Layer
    sources: Layer


def require(targets: Targets, field: type, kind: str, owner: Address, alias: str) -> None:
    """Refuse targets of another kind than a field takes."""
    for target in targets:
        if not target.has_field(field):
            raise InvalidTargetException(
                f"{owner}: field {alias!r} names {target.address}, which is of the type "
                f"{target.alias}; it takes {kind}"
            )


def architecture(platform: str) -> str:
    """The part of a platform that Debian calls the architecture."""
    return platform.partition("/")[2]


def layer_files(name: str) -> Tuple[str, str]:
    """A layer's record and archive, as the builder names them."""
    return f"{name}.json", f"{name}.tar"


def path_name(address: Address) -> str:
    """A file name that no other target has."""
    return address.path_safe_spec.replace("/", ".")


@rule
async def fetch_interpreter(options: OciImages, platform: Platform) -> Interpreter:
    targets = await Get(
        Targets,
        UnparsedAddressInputs(
            [options.interpreter],
            owning_address=None,
            description_of_origin="[oci-images].interpreter",
        ),
    )
    lock = await Get(SourceFiles, SourceFilesRequest([targets[0][fields.LockField]]))
    spec = as_json(
        targets[0].address,
        architecture="arm64" if platform.value.endswith("arm64") else "amd64",
        lock=lock.files[0],
        without=(),
        output="debs",
        cache=CACHE,
    )
    fetched = await Get(
        StepResult,
        Step(
            "fetch",
            spec,
            lock.snapshot.digest,
            "Fetch the interpreter that compiles",
            folders=("debs",),
        ),
    )
    unpacked = await Get(
        StepResult,
        Step(
            "interpreter",
            as_json(targets[0].address, debs="debs", output=INTERPRETER),
            fetched.digest,
            "Unpack the interpreter that compiles",
            folders=(INTERPRETER,),
        ),
    )
    return Interpreter(unpacked.digest, lock.snapshot.digest)


@rule
async def plan_rootfs(request: RootfsPlanRequest) -> RootfsPlan:
    wrapped = await Get(
        WrappedTarget,
        WrappedTargetRequest(request.address, description_of_origin="the field `on`"),
    )
    target = wrapped.target
    packages_field = target[fields.PackagesField]
    on, packages = await MultiGet(
        Get(Targets, UnparsedAddressInputs, target[fields.OnField].to_unparsed_address_inputs()),
        Get(Targets, UnparsedAddressInputs, packages_field.to_unparsed_address_inputs()),
    )
    require(on, fields.OnField, "an oci_rootfs", target.address, "on")
    require(packages, fields.LockField, "a debian_packages", target.address, "packages")
    below = await MultiGet(Get(RootfsPlan, RootfsPlanRequest(lower.address)) for lower in on)
    own = await Get(SourceFiles, SourceFilesRequest([one[fields.LockField] for one in packages]))
    return RootfsPlan(
        target,
        own.files[0] if own.files else None,
        tuple(lock for plan in below for lock in (*plan.below, plan.lock) if lock),
        await Get(Digest, MergeDigests([own.snapshot.digest, *(plan.locks for plan in below)])),
    )


async def _rootfs(target: Target, platform: str) -> Layer:
    plan = await Get(RootfsPlan, RootfsPlanRequest(target.address))
    debs = EMPTY_DIGEST
    if plan.lock:
        fetched = await Get(
            StepResult,
            Step(
                "fetch",
                as_json(
                    target.address,
                    architecture=architecture(platform),
                    lock=plan.lock,
                    without=plan.below,
                    output="debs",
                    cache=CACHE,
                ),
                plan.locks,
                f"Fetch the Debian packages of {target.address} for {platform}",
                folders=("debs",),
            ),
        )
        debs = fetched.digest
    compiled = target[fields.CompileField].value or ()
    interpreter = await Get(Interpreter) if compiled else Interpreter(EMPTY_DIGEST, EMPTY_DIGEST)
    record, archive = layer_files(path_name(target.address))
    spec = as_json(
        target.address,
        architecture=architecture(platform),
        comment=target[DescriptionField].value or "",
        interpreter=f"{TOOLCHAIN}/{INTERPRETER}" if compiled else "",
        output=record,
        debs="debs" if plan.lock else "",
        rootfs={
            "base": not target[fields.OnField].value,
            "users": dict(target[fields.UsersField].value or {}),
            "directories": dict(target[fields.DirectoriesField].value or {}),
            "links": dict(target[fields.LinksField].value or {}),
            "omit": target[fields.ExcludeField].value or (),
            "bytecode": compiled,
        },
    )
    locks = await Get(Digest, MergeDigests((plan.locks, interpreter.lock)))
    made = await Get(
        StepResult,
        Step(
            "rootfs",
            spec,
            debs,
            f"Build the layer {target.address} for {platform}",
            files=(record, archive),
            shared=interpreter.shared if compiled else (),
        ),
    )
    return Layer(record, made.digest, locks)


async def _files(target: Target, platform: str) -> Layer:
    sources = await Get(SourceFiles, SourceFilesRequest([target[fields.LooseFilesField]]))
    record, archive = layer_files(path_name(target.address))
    spec = as_json(
        target.address,
        architecture=architecture(platform),
        comment=target[DescriptionField].value or "",
        output=record,
        folder=target.address.spec_path,
        into=target[fields.IntoField].value,
        mode=None,
    )
    made = await Get(
        StepResult,
        Step(
            "files",
            spec,
            sources.snapshot.digest,
            f"Build the layer {target.address} for {platform}",
            files=(record, archive),
        ),
    )
    return Layer(record, made.digest)


@rule(desc="Build a layer", level=LogLevel.DEBUG)
async def build_layer(request: LayerRequest) -> Layer:
    wrapped = await Get(
        WrappedTarget,
        WrappedTargetRequest(request.address, description_of_origin="the field `layers`"),
    )
    if wrapped.target.has_field(fields.LooseFilesField):
        return await _files(wrapped.target, request.platform)
    return await _rootfs(wrapped.target, request.platform)


@rule(desc="Build Python layers", level=LogLevel.DEBUG)
async def build_python_layers(request: PythonLayersRequest, python: PythonSetup) -> PythonLayers:
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
    # Without sources, the packages' layer does not depend on them, and outlives an edit.
    packages_request, sources, platform = await MultiGet(
        Get(
            PexRequest,
            PexFromTargetsRequest(
                request.pexes,
                output_filename="packages.pex",
                internal_only=False,
                complete_platforms=platforms,
                include_source_files=False,
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
    interpreter, lock_file = await MultiGet(
        Get(Interpreter),
        Get(
            Digest,
            PathGlobs(
                [lock], GlobMatchErrorBehavior.error, description_of_origin="[python].resolves"
            ),
        ),
    )
    locks = await Get(Digest, MergeDigests((interpreter.lock, lock_file)))
    made = []
    for folder, into, digest, comment in (
        ("packages", PACKAGES, flat.digest, "third-party Python packages"),
        ("sources", SOURCES, source_folder, "our Python sources"),
    ):
        record, archive = layer_files(folder)
        spec = as_json(
            request.image,
            architecture=architecture(request.platform),
            comment=comment,
            output=record,
            folder=folder,
            into=into,
            interpreter=f"{TOOLCHAIN}/{INTERPRETER}",
        )
        what = f"Build the layer of {comment} of {request.image}"
        step = Step(
            "python", spec, digest, what, files=(record, archive), shared=interpreter.shared
        )
        made.append((record, step))
    results = await MultiGet(Get(StepResult, Step, step) for _, step in made)
    return PythonLayers(*(Layer(made[i][0], one.digest, locks) for i, one in enumerate(results)))


def rules():
    return [*collect_rules(), *pex_venv.rules(), *python_sources.rules()]
