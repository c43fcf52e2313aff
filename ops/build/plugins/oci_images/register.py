"""OCI images that are the same bytes everywhere, made without a daemon or registry."""

from oci_images import rules as oci_rules
from oci_images.target_types import (
    DebianPackages,
    OciFiles,
    OciImage,
    OciIndex,
    OciPlatformImage,
    OciRootfs,
)


def target_types():
    return [DebianPackages, OciRootfs, OciFiles, OciImage, OciPlatformImage, OciIndex]


def rules():
    return oci_rules.rules()
