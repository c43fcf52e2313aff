"""Targets of OCI images: packages, root file systems, images and indexes of images."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, Optional, Tuple

from pants.core.goals.package import OutputPathField
from pants.engine.addresses import Address
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    Dependencies,
    DictStringToStringField,
    IntField,
    InvalidFieldException,
    MultipleSourcesField,
    SingleSourceField,
    SpecialCasedDependencies,
    StringField,
    StringSequenceField,
    Target,
    TargetGenerator,
)
from pants.util.frozendict import FrozenDict

ARCHITECTURES = ("amd64", "arm64")
PLATFORMS = tuple(f"linux/{architecture}" for architecture in ARCHITECTURES)


class OneAddress(SpecialCasedDependencies):
    """A field that names one other target, as a plain string."""

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> Optional[Tuple[str, ...]]:
        if raw_value is not None and not isinstance(raw_value, str):
            raise InvalidFieldException(
                f"{address}: field {cls.alias!r} takes the address of one target as a string, such "
                f'as ":name", not {raw_value!r}'
            )
        return super().compute_value(None if raw_value is None else (raw_value,), address)


class Checked(StringSequenceField):
    """A list of strings of one form, which ``pattern`` and ``expected`` tell."""

    pattern = ".*"
    expected = ""

    @classmethod
    def compute_value(
        cls, raw_value: Optional[Iterable[str]], address: Address
    ) -> Optional[Tuple[str, ...]]:
        value = super().compute_value(raw_value, address)
        for item in value or ():
            check_form(cls, item, address)
        return value


class CheckedDict(DictStringToStringField):
    """A dictionary whose values are of one form, which ``pattern`` and ``expected`` tell."""

    pattern = ".*"
    expected = ""

    @classmethod
    def compute_value(
        cls, raw_value: Optional[Dict[str, str]], address: Address
    ) -> Optional[FrozenDict[str, str]]:
        value = super().compute_value(raw_value, address)
        for item in (value or {}).values():
            check_form(cls, item, address)
        return value


class CheckedString(StringField):
    """A string of one form, which ``pattern`` and ``expected`` tell."""

    pattern = ".*"
    expected = ""

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> Optional[str]:
        value = super().compute_value(raw_value, address)
        if value is not None:
            check_form(cls, value, address)
        return value


def check_form(field: Any, item: str, address: Address) -> None:
    """Refuse a value that does not fit the field's pattern, saying what would."""
    if not re.fullmatch(field.pattern, item):
        raise InvalidFieldException(
            f"{address}: field {field.alias!r} has {item!r}, which is not {field.expected}"
        )


class OciDependencies(Dependencies):
    pass


class PlatformField(StringField):
    alias = "platform"
    required = True
    valid_choices = PLATFORMS
    help = "What the image is for."


# ---------------------------------------------------------------------------- debian_packages


class LockField(SingleSourceField):
    alias = "lock"
    required = True
    expected_file_extensions = (".lock",)
    help = (
        "The lock file. `make lock` writes it from the manifest beside it, which has the same name "
        "and the ending .toml."
    )


class DebianPackages(Target):
    alias = "debian_packages"
    core_fields = (*COMMON_TARGET_FIELDS, OciDependencies, LockField)
    help = (
        "Debian packages of a lock, for both architectures. They are fetched by hash, when an "
        "image needs them, from [debian].mirrors, else DEBIAN_MIRROR, else the Debian entries of "
        "this machine's apt sources."
    )


# ---------------------------------------------------------------------------- oci_rootfs


class PackagesField(OneAddress):
    alias = "packages"
    help = "The `debian_packages` to unpack. No maintainer script is run."


class OnField(OneAddress):
    alias = "on"
    help = (
        "The `oci_rootfs` that this one lies on. Packages that it or one below it has are left "
        "out; a package of another version is an error. Without it this is the lowest layer, which "
        "has the links of a merged /usr, /tmp, /etc/passwd and the like."
    )


class UsersField(CheckedDict):
    alias = "users"
    pattern = r"\d+"
    expected = "a number"
    help = (
        'Users beside root and nobody, with their numbers, such as {"app": "10001"}. For the '
        "lowest layer, as /etc/passwd is in it."
    )


class DirectoriesField(CheckedDict):
    alias = "directories"
    pattern = r"\d+:\d+:[0-7]{3,4}"
    expected = 'UID:GID:MODE, such as "999:999:0700"'
    help = 'Directories with their owner and mode, such as {"/var/lib/data": "999:999:0700"}.'


class LinksField(DictStringToStringField):
    alias = "links"
    help = 'Symbolic links with their targets, such as {"/usr/bin/python3": "python3.13"}.'


class ExcludeField(StringSequenceField):
    alias = "exclude"
    help = (
        'Patterns of paths to leave out, such as "usr/lib/python3.13/idlelib/*"; `*` spans '
        "slashes. Documentation, manuals and translations are left out in any case, copyright "
        "files never."
    )


class CompileField(StringSequenceField):
    alias = "compile"
    help = "Folders below which Python sources get their bytecode."


class OciRootfs(Target):
    alias = "oci_rootfs"
    core_fields = (
        *COMMON_TARGET_FIELDS,
        OciDependencies,
        PackagesField,
        OnField,
        UsersField,
        DirectoriesField,
        LinksField,
        ExcludeField,
        CompileField,
        OutputPathField,
    )
    help = (
        "A layer of a root file system, out of locked Debian packages, directories and links, for "
        "whatever platform an image with it is for. Two packages that disagree on a file are an "
        "error."
    )


# ---------------------------------------------------------------------------- oci_files


class LooseFilesField(MultipleSourcesField):
    required = True
    help = "Files of this folder; a path below it is kept."


class IntoField(CheckedString):
    alias = "into"
    required = True
    pattern = r"/.*[^/]"
    expected = 'an absolute path, such as "/usr/lib/app"'
    help = "The folder in the image."


class OciFiles(Target):
    alias = "oci_files"
    core_fields = (*COMMON_TARGET_FIELDS, OciDependencies, LooseFilesField, IntoField)
    help = "A layer of files of the repository, owned by root."


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
    help = "Labels, such as those of org.opencontainers.image."


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


#: Of an image for one platform; `oci_image` hands them on.
IMAGE_FIELDS = (
    OciDependencies,
    ReferenceField,
    RepositoriesField,
    BaseField,
    LayersField,
    PexField,
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
        OutputPathField,
    )
    help = (
        "Images of several platforms under one digest, as an archive; `oci_image` makes one where "
        "it has several `platforms`. `docker load` knows no index and takes the images, so each "
        "must have a tag of its own."
    )
