"""Target types of images and of the indexes that join them."""

from __future__ import annotations

from pants.core.goals.package import OutputPathField
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    BoolField,
    DictStringToStringField,
    IntField,
    SpecialCasedDependencies,
    StringField,
    StringSequenceField,
    Target,
    TargetGenerator,
)

from oci_images.target_types import (
    PLATFORMS,
    Checked,
    CheckedString,
    OciDependencies,
    OneAddress,
    PlatformField,
)

# ---------------------------------------------------------------------------- oci_image


class BaseField(OneAddress):
    alias = "base"
    help = (
        "The `oci_image` that this one is put on, whose layers and settings it takes over, on each "
        "platform those for it. What this image sets itself wins; environment, labels, ports and "
        "volumes add up."
    )


class LayersField(SpecialCasedDependencies):
    alias = "layers"
    help = "The `oci_rootfs` and `oci_files` to put on the base, from the lowest."


class PexField(SpecialCasedDependencies):
    alias = "pex"
    help = (
        "`pex_binary` targets, of which the third-party packages become a layer in "
        "/app/site-packages, and the sources another in /app/src; both are on PYTHONPATH. Several "
        "are joined, so that images of several programs can share the layers. The "
        "`complete_platforms` of the first must include this image's platform."
    )


class ExcludePackagesField(StringSequenceField):
    alias = "exclude_packages"
    help = (
        "Third-party packages of `pex` to leave out, with what only they require: those that "
        "another one declares, and runs without."
    )


class EntrypointField(StringSequenceField):
    alias = "entrypoint"
    help = "The program and its first arguments, run without a shell. It replaces the base's `cmd`."


class CmdField(StringSequenceField):
    alias = "cmd"
    help = "Arguments that whoever runs a container may replace."


class UserField(CheckedString):
    alias = "user"
    pattern = r"\w[\w-]*(:\w[\w-]*)?"
    expected = 'a user or user:group by name or number, such as "10001:10001"'
    help = "The user, or user:group, by name or number."


class EnvField(DictStringToStringField):
    alias = "env"
    help = "Environment variables."


class LabelsField(DictStringToStringField):
    alias = "labels"
    help = (
        "Labels, beside `org.opencontainers.image.title` and `.description`, which are the name in "
        "`reference` and the target's description. What changes with each commit belongs into "
        "[oci-images].annotations: a label is part of the image id."
    )


class PortsField(Checked):
    alias = "ports"
    pattern = r"[0-9]{1,5}/(tcp|udp|sctp)"
    expected = 'a port with its protocol, such as "8000/tcp"'
    help = 'Ports that the program listens on, such as "8000/tcp".'


class VolumesField(Checked):
    alias = "volumes"
    pattern = r"/[^:]*[^/:]"
    expected = 'an absolute path, such as "/var/lib/data"'
    help = "Directories that outlive a container."


class WorkdirField(CheckedString):
    alias = "workdir"
    pattern = VolumesField.pattern + "|/"
    expected = VolumesField.expected
    help = "The working directory."


class StopSignalField(StringField):
    alias = "stop_signal"
    valid_choices = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGKILL")
    help = "The signal that asks the program to end in order."


class HealthcheckField(StringSequenceField):
    alias = "healthcheck"
    help = "A command, run without a shell, that succeeds while the container is well."


class HealthcheckIntervalField(IntField):
    alias = "healthcheck_interval"
    default = 10
    help = "Seconds between two checks."


class HealthcheckTimeoutField(IntField):
    alias = "healthcheck_timeout"
    default = 5
    help = "Seconds after which a check has failed."


class HealthcheckStartField(IntField):
    alias = "healthcheck_start_period"
    default = 60
    help = "Seconds in which a failed check does not count, as the program starts."


class ReferenceField(CheckedString):
    alias = "reference"
    required = True
    pattern = r"[a-z0-9._/-]+:[A-Za-z0-9_][A-Za-z0-9._-]*"
    expected = 'a repository with a tag, such as "fastapi-base/api:latest"'
    help = "What `docker load` calls it, such as `fastapi-base/api:latest`."


class RepositoriesField(Checked):
    alias = "repositories"
    pattern = r"[a-zA-Z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*"
    expected = 'HOST or HOST/FOLDER, such as "registry.example:5000/team"'
    help = (
        "Where `./pants publish` pushes it: registries, or folders of registries, each as HOST or "
        "HOST/FOLDER; `reference` is put behind it. Without the field those of "
        "[oci-images].repositories; an empty list says that it is not published."
    )


class PackagedField(BoolField):
    alias = "packaged"
    default = True
    help = (
        "Whether `./pants package` writes the image to dist/. False for an image that only serves "
        "as the `base` of others."
    )


class PlatformsField(Checked):
    alias = "platforms"
    required = True
    pattern = "|".join(PLATFORMS)
    expected = " or ".join(f'"{platform}"' for platform in PLATFORMS)
    help = (
        "What the image is for. Each platform gets an image of its own, `#amd64` and `#arm64`, "
        "and several get an index that joins them, `#index`. Nothing is run, so any machine makes "
        "them all. `docker load` knows no index, so names differ: the first platform has "
        "`reference` and `output_path` as they are, the second adds its architecture to both, and "
        "the index has `reference` as it is and adds `-index` to the path."
    )


#: For an image of one platform; `oci_image` passes them on.
IMAGE_FIELDS = (
    OciDependencies,
    ReferenceField,
    RepositoriesField,
    PackagedField,
    BaseField,
    LayersField,
    PexField,
    ExcludePackagesField,
    EntrypointField,
    CmdField,
    UserField,
    EnvField,
    LabelsField,
    PortsField,
    VolumesField,
    WorkdirField,
    StopSignalField,
    HealthcheckField,
    HealthcheckIntervalField,
    HealthcheckTimeoutField,
    HealthcheckStartField,
    OutputPathField,
)


class OciPlatformImage(Target):
    alias = "oci_platform_image"
    core_fields = (*COMMON_TARGET_FIELDS, PlatformField, *IMAGE_FIELDS)
    help = "An OCI image for one platform; `oci_image` makes them."


class OciImage(TargetGenerator):
    alias = "oci_image"
    generated_target_cls = OciPlatformImage
    core_fields = (*COMMON_TARGET_FIELDS, PlatformsField)
    copied_fields = COMMON_TARGET_FIELDS
    moved_fields = IMAGE_FIELDS
    help = (
        "An OCI image for one platform or several, as archives that `docker load` and `podman "
        "load` take. They are made without a daemon or registry, and the same inputs give the "
        "same digest anywhere. Two layers that disagree on a file, and an executable for another "
        "machine, are errors. With several platforms it is the index that is published."
    )


# ---------------------------------------------------------------------------- oci_index


class ImagesField(SpecialCasedDependencies):
    alias = "images"
    required = True
    help = "The images, one a platform, such as `:api#amd64`."


class OciIndex(Target):
    alias = "oci_index"
    core_fields = (
        *COMMON_TARGET_FIELDS,
        OciDependencies,
        ImagesField,
        ReferenceField,
        RepositoriesField,
        PackagedField,
        OutputPathField,
    )
    help = (
        "Images of several platforms under one digest, as an archive; `oci_image` makes one where "
        "it has several `platforms`. `docker load` knows no index and takes the images, so each "
        "must have a tag of its own."
    )
