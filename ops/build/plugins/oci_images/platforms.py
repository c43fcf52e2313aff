"""Expands an `oci_image` into the images of its platforms, and the index that joins them."""

from __future__ import annotations

from typing import Any, Dict, List

from pants.core.goals.package import OutputPathField
from pants.engine.rules import collect_rules, rule
from pants.engine.target import (
    Dependencies,
    GeneratedTargets,
    GenerateTargetsRequest,
    InvalidTargetException,
    Target,
)
from pants.engine.unions import UnionMembership, UnionRule

from oci_images import image_types
from oci_images import target_types as fields

#: The fields that an index shares with its images.
SHARED = {
    Dependencies.alias,
    image_types.ReferenceField.alias,
    image_types.RepositoriesField.alias,
    image_types.PackagedField.alias,
    OutputPathField.alias,
    *(field.alias for field in image_types.OciImage.copied_fields),
}
ENDING = ".oci.tar"


class GenerateImagesRequest(GenerateTargetsRequest):
    generate_from = image_types.OciImage


@rule(desc="Make images of the platforms of an oci_image")
async def generate_images(
    request: GenerateImagesRequest, union_membership: UnionMembership
) -> GeneratedTargets:
    generator = request.generator
    platforms = generator[image_types.PlatformsField].value or ()
    if not platforms or len(set(platforms)) < len(platforms):
        raise InvalidTargetException(
            f"{generator.address}: field 'platforms' has {list(platforms)!r}; it takes one or more "
            f"of {', '.join(fields.PLATFORMS)}, each once"
        )

    made: List[Target] = []

    def make(kind: type[Target], name: str, values: Dict[str, Any]) -> None:
        address = request.template_address.create_generated(name)
        made.append(
            kind(values, address, union_membership, residence_dir=generator.address.spec_path)
        )

    joined = len(platforms) > 1
    template = request.template
    for number, platform in enumerate(platforms):
        name = platform.partition("/")[2]
        suffix = f"-{name}" if number else ""
        values = {**template, fields.PlatformField.alias: platform}
        if suffix and image_types.ReferenceField.alias in template:
            values[image_types.ReferenceField.alias] = (
                f"{template[image_types.ReferenceField.alias]}{suffix}"
            )
        if joined:
            values[image_types.RepositoriesField.alias] = []
        make(image_types.OciPlatformImage, name, _placed(values, suffix))
    if joined:
        values = {name: value for name, value in template.items() if name in SHARED}
        values[image_types.ImagesField.alias] = [one.address.spec for one in made]
        make(image_types.OciIndex, "index", _placed(values, "-index"))
    return GeneratedTargets(generator, made)


def _placed(values: Dict[str, Any], suffix: str) -> Dict[str, Any]:
    """The values with the suffix in the path of the archive, if it has its own."""
    output = values.get(OutputPathField.alias)
    if not suffix or not isinstance(output, str):
        return values
    stem = output[: -len(ENDING)] if output.endswith(ENDING) else output
    return {**values, OutputPathField.alias: f"{stem}{suffix}{output[len(stem) :]}"}


def rules():
    return [*collect_rules(), UnionRule(GenerateTargetsRequest, GenerateImagesRequest)]
