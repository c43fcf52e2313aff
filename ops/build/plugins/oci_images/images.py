"""Rules of `oci_image` and `oci_index`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Tuple

from pants.core.goals.package import (
    BuiltPackage,
    BuiltPackageArtifact,
    OutputPathField,
    PackageFieldSet,
)
from pants.engine.addresses import Addresses, UnparsedAddressInputs
from pants.engine.fs import EMPTY_DIGEST, Digest, DigestSubset, MergeDigests, PathGlobs
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.engine.target import DescriptionField, InvalidTargetException, Target, Targets
from pants.engine.unions import UnionRule
from pants.util.frozendict import FrozenDict
from pants.util.logging import LogLevel

from oci_images import image_types
from oci_images import target_types as fields
from oci_images.builder import Compression, OciImages, Step, StepResult, as_json
from oci_images.documents import Documents, DocumentsRequest, about
from oci_images.layers import (
    CompressedLayer,
    CompressedLayerRequest,
    Layer,
    LayerRequest,
    require,
)
from oci_images.python_layers import PACKAGES, SOURCES, PythonLayers, PythonLayersRequest

TITLE = "org.opencontainers.image.title"
DESCRIPTION = "org.opencontainers.image.description"
VERSION = "org.opencontainers.image.version"
_NONE: FrozenDict[str, str] = FrozenDict()


def title(reference: str) -> str:
    """The name of an image: the last part of its repository."""
    return reference.rpartition(":")[0].rpartition("/")[2]


@dataclass(frozen=True)
class ImageFieldSet(PackageFieldSet):
    required_fields = (fields.PlatformField, image_types.BaseField)

    platform: fields.PlatformField
    reference: image_types.ReferenceField
    description: DescriptionField
    base: image_types.BaseField
    layers: image_types.LayersField
    pex: image_types.PexField
    exclude_packages: image_types.ExcludePackagesField
    entrypoint: image_types.EntrypointField
    cmd: image_types.CmdField
    user: image_types.UserField
    env: image_types.EnvField
    labels: image_types.LabelsField
    ports: image_types.PortsField
    volumes: image_types.VolumesField
    workdir: image_types.WorkdirField
    stop_signal: image_types.StopSignalField
    healthcheck: image_types.HealthcheckField
    interval: image_types.HealthcheckIntervalField
    timeout: image_types.HealthcheckTimeoutField
    start_period: image_types.HealthcheckStartField
    output_path: OutputPathField

    @classmethod
    def opt_out(cls, target: Target) -> bool:
        return not target[image_types.PackagedField].value


@dataclass(frozen=True)
class IndexFieldSet(PackageFieldSet):
    required_fields = (image_types.ImagesField,)

    images: image_types.ImagesField
    reference: image_types.ReferenceField
    output_path: OutputPathField

    @classmethod
    def opt_out(cls, target: Target) -> bool:
        return not target[image_types.PackagedField].value


@dataclass(frozen=True)
class ImagePlanRequest:
    field_set: ImageFieldSet


@dataclass(frozen=True)
class ImagePlan:
    """The layers of an image, lowest first, and its settings as JSON, merged with those of its
    base.
    """

    platform: str
    layers: Tuple[Layer, ...]
    settings: str


@dataclass(frozen=True)
class ImageRequest:
    """The archive of an image; requested by its own build, by an index that joins it, and by its
    publication.
    """

    field_set: ImageFieldSet
    compression: Compression = Compression.NONE
    annotations: FrozenDict[str, str] = _NONE


@dataclass(frozen=True)
class IndexRequest:
    """The archive of an index, with the documents of its images."""

    field_set: IndexFieldSet
    compression: Compression = Compression.NONE
    annotations: FrozenDict[str, str] = _NONE


@dataclass(frozen=True)
class Archive:
    file: str
    digest: Digest
    report: str
    documents: Documents


def _described(image: ImageFieldSet) -> dict[str, str]:
    """The labels that follow from the target; an image without a description has its base's."""
    labels = {TITLE: title(image.reference.value or "")}
    return {**labels, **({DESCRIPTION: image.description.value} if image.description.value else {})}


def merged(base: dict[str, Any], image: ImageFieldSet) -> dict[str, Any]:
    """The settings of an image, applied to those of its base."""
    env = {**base.get("env", {}), **(image.env.value or {})}
    if image.pex.value:
        env.setdefault("PYTHONPATH", f"{SOURCES}:{PACKAGES}")
    entrypoint = image.entrypoint.value
    check = {
        "test": image.healthcheck.value,
        "interval": image.interval.value,
        "timeout": image.timeout.value,
        "start_period": image.start_period.value,
        "retries": 3,
    }
    own = {
        "entrypoint": entrypoint,
        # A base's command makes no sense for another program.
        "cmd": image.cmd.value or (() if entrypoint else None),
        "user": image.user.value,
        "workdir": image.workdir.value,
        "stop_signal": image.stop_signal.value,
        "healthcheck": check if image.healthcheck.value else None,
    }
    return {
        **base,
        **{name: value for name, value in own.items() if value is not None},
        "env": env,
        "labels": {**base.get("labels", {}), **_described(image), **(image.labels.value or {})},
        "ports": sorted({*base.get("ports", ()), *(image.ports.value or ())}),
        "volumes": sorted({*base.get("volumes", ()), *(image.volumes.value or ())}),
    }


@rule
async def plan_image(request: ImagePlanRequest) -> ImagePlan:
    image = request.field_set
    platform = image.platform.value or ""
    base_targets, layer_targets, pexes = await MultiGet(
        Get(Targets, UnparsedAddressInputs, image.base.to_unparsed_address_inputs()),
        Get(Targets, UnparsedAddressInputs, image.layers.to_unparsed_address_inputs()),
        Get(Addresses, UnparsedAddressInputs, image.pex.to_unparsed_address_inputs()),
    )
    for target in layer_targets:
        kinds = [fields.OnField, fields.LooseFilesField]
        if not any(target.has_field(kind) for kind in kinds):
            require(layer_targets, kinds[0], "oci_rootfs and oci_files", image.address, "layers")
    bases = await MultiGet(
        Get(ImagePlan, ImagePlanRequest(ImageFieldSet.create(target)))
        for target in _fitting(base_targets, image)
    )
    own = await MultiGet(
        Get(Layer, LayerRequest(target.address, platform)) for target in layer_targets
    )
    layers = [*(layer for base in bases for layer in base.layers), *own]
    if pexes:
        excluded = image.exclude_packages.value or ()
        python = await Get(
            PythonLayers, PythonLayersRequest(image.address, pexes, platform, excluded)
        )
        layers += [python.packages, python.sources]
    below = json.loads(bases[0].settings) if bases else {}
    return ImagePlan(platform, tuple(layers), json.dumps(merged(below, image), sort_keys=True))


def _fitting(bases: Targets, image: ImageFieldSet) -> list[Target]:
    """The image of the base for the platform of the image built on it."""
    # An index among them stands for the others.
    images = [target for target in bases if not target.has_field(image_types.ImagesField)]
    require(Targets(images), image_types.BaseField, "an oci_image", image.address, "base")
    platform = image.platform.value
    fitting = [target for target in images if target[fields.PlatformField].value == platform]
    if images and not fitting:
        others = ", ".join(sorted(str(target[fields.PlatformField].value) for target in images))
        raise InvalidTargetException(
            f"{image.address} is for {platform}, and its base {image.base.value[0]} for {others}; "
            "add the platform to the base, or take it from this image"
        )
    return fitting


def _form(request: ImageRequest | IndexRequest) -> dict[str, Any]:
    """What the digest depends on besides the content."""
    return {
        "compression": request.compression.value,
        "annotations": dict(request.annotations),
    }


def _packaged_form(options: OciImages) -> Tuple[Compression, FrozenDict[str, str]]:
    if options.package_as_published:
        return options.compression, FrozenDict(options.annotations)
    return Compression.NONE, _NONE


@rule(desc="Build an OCI image", level=LogLevel.DEBUG)
async def build_image(request: ImageRequest) -> Archive:
    image = request.field_set
    plan = await Get(ImagePlan, ImagePlanRequest(image))
    shared = [layer.digest for layer in plan.layers]
    compressed: Tuple[CompressedLayer, ...] = ()
    if request.compression is not Compression.NONE:
        compressed = await MultiGet(
            Get(CompressedLayer, CompressedLayerRequest(layer, request.compression))
            for layer in plan.layers
        )
        # Of the layers themselves only the records: the archives next to them are large.
        records = await MultiGet(
            Get(Digest, DigestSubset(layer.digest, PathGlobs([layer.record])))
            for layer in plan.layers
        )
        shared = [
            await Get(Digest, MergeDigests((record, layer.digest)))
            for record, layer in zip(records, compressed)
        ]
    output = image.output_path.value_or_default(file_ending="oci.tar")
    spec = as_json(
        image.address,
        config=json.loads(plan.settings),
        layers=[f"layer{number}/{layer.record}" for number, layer in enumerate(plan.layers)],
        compressed=[f"layer{number}/{layer.record}" for number, layer in enumerate(compressed)],
        annotations=dict(request.annotations),
        platform=plan.platform,
        reference=image.reference.value,
        output=output,
    )
    made = await Get(
        StepResult,
        Step(
            "image",
            spec,
            EMPTY_DIGEST,
            f"Build {image.address}",
            files=(output,),
            shared=tuple((f"layer{number}", digest) for number, digest in enumerate(shared)),
        ),
    )
    documents = await Get(
        Documents,
        DocumentsRequest(
            about(
                image.address,
                made.report,
                image.reference.value,
                platform=plan.platform,
                form=_form(request),
            ),
            output,
            plan.layers,
        ),
    )
    return Archive(output, made.digest, made.report, documents)


@rule
async def package_image(field_set: ImageFieldSet, options: OciImages) -> BuiltPackage:
    request = ImageRequest(field_set, *_packaged_form(options))
    return await Get(BuiltPackage, Archive, await Get(Archive, ImageRequest, request))


@rule(desc="Build an OCI index", level=LogLevel.DEBUG)
async def build_index(request: IndexRequest) -> Archive:
    field_set = request.field_set
    targets = await Get(
        Targets, UnparsedAddressInputs, field_set.images.to_unparsed_address_inputs()
    )
    require(targets, image_types.BaseField, "images of one platform", field_set.address, "images")
    platforms = [target[fields.PlatformField].value for target in targets]
    for platform in platforms:
        if platforms.count(platform) > 1:
            raise InvalidTargetException(
                f"{field_set.address}: field 'images' has two for {platform}; name one a platform"
            )
    archives = await MultiGet(
        Get(Archive, ImageRequest(ImageFieldSet.create(target), request.compression))
        for target in targets
    )
    output = field_set.output_path.value_or_default(file_ending="oci.tar")
    spec = as_json(
        field_set.address,
        images=[archive.file for archive in archives],
        annotations=dict(request.annotations),
        reference=field_set.reference.value,
        output=output,
    )
    inputs = await Get(Digest, MergeDigests(archive.digest for archive in archives))
    made = await Get(
        StepResult, Step("index", spec, inputs, f"Build {field_set.address}", files=(output,))
    )
    joined = {
        target[fields.PlatformField].value: json.loads(archive.report)["digest"]
        for target, archive in zip(targets, archives)
    }
    own = await Get(
        Documents,
        DocumentsRequest(
            about(
                field_set.address,
                made.report,
                field_set.reference.value,
                images=joined,
                form=_form(request),
            ),
            output,
        ),
    )
    # Those of the images are published with the index, so it includes them.
    documents = [own, *(archive.documents for archive in archives)]
    digest = await Get(Digest, MergeDigests(one.digest for one in documents))
    artifacts = tuple(artifact for one in documents for artifact in one.artifacts)
    return Archive(output, made.digest, made.report, Documents(digest, artifacts))


@rule
async def package_index(field_set: IndexFieldSet, options: OciImages) -> BuiltPackage:
    request = IndexRequest(field_set, *_packaged_form(options))
    return await Get(BuiltPackage, Archive, await Get(Archive, IndexRequest, request))


@rule
async def package_archive(archive: Archive) -> BuiltPackage:
    report = json.loads(archive.report)
    unpacked = f", {report['unpacked'] / 1e6:.1f} MB unpacked" if report["unpacked"] else ""
    lines = [f"{report['digest']}{unpacked}", *(f"  layer {one}" for one in report["layers"])]
    artifact = BuiltPackageArtifact(archive.file, extra_log_lines=tuple(lines))
    everything = await Get(Digest, MergeDigests((archive.digest, archive.documents.digest)))
    return BuiltPackage(everything, (artifact, *archive.documents.artifacts))


def rules():
    return [
        *collect_rules(),
        UnionRule(PackageFieldSet, ImageFieldSet),
        UnionRule(PackageFieldSet, IndexFieldSet),
    ]
