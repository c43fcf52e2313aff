"""Rules of the layers `oci_rootfs` and `oci_files`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Optional, Tuple

from pants.core.util_rules.source_files import SourceFiles, SourceFilesRequest
from pants.engine.addresses import Address, UnparsedAddressInputs
from pants.engine.fs import (
    EMPTY_DIGEST,
    Digest,
    MergeDigests,
)
from pants.engine.platform import Platform
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.engine.target import (
    DescriptionField,
    InvalidTargetException,
    Target,
    Targets,
    WrappedTarget,
    WrappedTargetRequest,
)
from pants.util.logging import LogLevel

from oci_images import target_types as fields
from oci_images.builder import CACHE, Compression, OciImages, Step, StepResult, as_json

#: Where a step finds the interpreter that compiles, and eu-strip.
INTERPRETER = "toolchain/programs"
STRIPPER = "stripper/programs"
_PROGRAMS = "programs"
#: What the builder adds to the name of a compressed layer.
_SUFFIXES = {Compression.GZIP: ".gz", Compression.ZSTD: ".zst"}


@dataclass(frozen=True)
class LayerRequest:
    """The layer of an `oci_rootfs` or `oci_files`, for a platform."""

    address: Address
    platform: str


@dataclass(frozen=True)
class Layer:
    """A layer's record and archive, and the locks of its contents."""

    record: str
    digest: Digest
    locks: Digest = EMPTY_DIGEST


@dataclass(frozen=True)
class CompressedLayerRequest:
    layer: Layer
    compression: Compression


@dataclass(frozen=True)
class CompressedLayer:
    """A layer's record and archive after compression."""

    record: str
    digest: Digest


@dataclass(frozen=True)
class ProgramsRequest:
    """Programs that build, from the `debian_packages` that an option names; empty for none."""

    packages: str
    option: str


@dataclass(frozen=True)
class Programs:
    """The unpacked packages, in a folder, and their lock."""

    digest: Digest = EMPTY_DIGEST
    lock: Digest = EMPTY_DIGEST

    def at(self, folder: str) -> Tuple[Tuple[str, Digest], ...]:
        """The input that a step shares with others, with which it finds them in ``folder``."""
        return ((folder.partition("/")[0], self.digest),) if self != Programs() else ()


def interpreter(options: OciImages) -> ProgramsRequest:
    """The interpreter that compiles."""
    return ProgramsRequest(options.interpreter, "[oci-images].interpreter")


def stripper(options: OciImages) -> ProgramsRequest:
    """The program that removes debug information."""
    return ProgramsRequest(options.stripper, "[oci-images].stripper")


@dataclass(frozen=True)
class RootfsPlanRequest:
    address: Address


@dataclass(frozen=True)
class RootfsPlan:
    """The inputs of an `oci_rootfs`: its lock, and the locks of the layers below it."""

    target: Target
    lock: Optional[str]
    below: Tuple[str, ...]
    locks: Digest


def require(targets: Targets, field: type, kind: str, owner: Address, alias: str) -> None:
    """Refuse targets of a kind that a field does not accept."""
    for target in targets:
        if not target.has_field(field):
            raise InvalidTargetException(
                f"{owner}: field {alias!r} names {target.address}, which is of the type "
                f"{target.alias}; it takes {kind}"
            )


def architecture(platform: str) -> str:
    """Debian's name for the architecture of a platform."""
    return platform.partition("/")[2]


def layer_files(name: str) -> Tuple[str, str]:
    """A layer's record and archive, as the builder names them."""
    return f"{name}.json", f"{name}.tar"


def path_name(address: Address) -> str:
    """A unique file name for a target."""
    return address.path_safe_spec.replace("/", ".")


@rule
async def fetch_programs(request: ProgramsRequest, platform: Platform) -> Programs:
    if not request.packages:
        return Programs()
    targets = await Get(
        Targets,
        UnparsedAddressInputs(
            [request.packages],
            owning_address=None,
            description_of_origin=request.option,
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
            f"Fetch {request.packages}",
            folders=("debs",),
        ),
    )
    unpacked = await Get(
        StepResult,
        Step(
            "unpack",
            as_json(targets[0].address, debs="debs", output=_PROGRAMS),
            fetched.digest,
            f"Unpack {request.packages}",
            folders=(_PROGRAMS,),
        ),
    )
    return Programs(unpacked.digest, lock.snapshot.digest)


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


async def _rootfs(target: Target, platform: str, options: OciImages) -> Layer:
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
    wanted = interpreter(options) if compiled else ProgramsRequest("", "")
    compiler = await Get(Programs, ProgramsRequest, wanted)
    record, archive = layer_files(path_name(target.address))
    spec = as_json(
        target.address,
        architecture=architecture(platform),
        comment=target[DescriptionField].value or "",
        interpreter=INTERPRETER if compiled else "",
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
    locks = await Get(Digest, MergeDigests((plan.locks, compiler.lock)))
    made = await Get(
        StepResult,
        Step(
            "rootfs",
            spec,
            debs,
            f"Build the layer {target.address} for {platform}",
            files=(record, archive),
            shared=compiler.at(INTERPRETER),
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


@rule(desc="Compress a layer", level=LogLevel.DEBUG)
async def compress_layer(request: CompressedLayerRequest, options: OciImages) -> CompressedLayer:
    layer, kind = request.layer, request.compression
    record, archive = layer_files("compressed/layer")
    gzip = kind is Compression.GZIP
    wanted = interpreter(options) if gzip else ProgramsRequest("", "")
    compressor = await Get(Programs, ProgramsRequest, wanted)
    spec = json.dumps(
        {
            "origin": layer.record,
            "compression": kind.value,
            "layer": f"layer/{layer.record}",
            "output": record,
            "interpreter": INTERPRETER if gzip else "",
        },
        sort_keys=True,
    )
    step = Step(
        "compress",
        spec,
        EMPTY_DIGEST,
        f"Compress the layer {layer.record} by {kind.value}",
        files=(record, f"{archive}{_SUFFIXES[kind]}"),
        shared=(("layer", layer.digest), *compressor.at(INTERPRETER)),
    )
    made = await Get(StepResult, Step, step)
    return CompressedLayer(record, made.digest)


@rule(desc="Build a layer", level=LogLevel.DEBUG)
async def build_layer(request: LayerRequest, options: OciImages) -> Layer:
    wrapped = await Get(
        WrappedTarget,
        WrappedTargetRequest(request.address, description_of_origin="the field `layers`"),
    )
    if wrapped.target.has_field(fields.LooseFilesField):
        return await _files(wrapped.target, request.platform)
    return await _rootfs(wrapped.target, request.platform, options)


def rules():
    return collect_rules()
