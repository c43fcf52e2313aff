"""Reproducible OCI images, built without a daemon or registry."""

from oci_images import rules as oci_rules
from oci_images.image_types import OciImage, OciIndex, OciPlatformImage
from oci_images.target_types import DebianPackages, OciFiles, OciRootfs


def target_types():
    return [DebianPackages, OciRootfs, OciFiles, OciImage, OciPlatformImage, OciIndex]


def rules():
    return oci_rules.rules()
