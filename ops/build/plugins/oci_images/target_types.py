"""Target types of layers: packages, root file systems and files; and the fields that all share."""

from __future__ import annotations

import re
from typing import Any, Dict, Iterable, Optional, Tuple

from pants.core.goals.package import OutputPathField
from pants.engine.addresses import Address
from pants.engine.target import (
    COMMON_TARGET_FIELDS,
    Dependencies,
    DictStringToStringField,
    InvalidFieldException,
    MultipleSourcesField,
    SingleSourceField,
    SpecialCasedDependencies,
    StringField,
    StringSequenceField,
    Target,
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
    """A list of strings of one form, described by ``pattern`` and ``expected``."""

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
    """A dictionary whose values have one form, described by ``pattern`` and ``expected``."""

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
    """A string of one form, described by ``pattern`` and ``expected``."""

    pattern = ".*"
    expected = ""

    @classmethod
    def compute_value(cls, raw_value: Optional[str], address: Address) -> Optional[str]:
        value = super().compute_value(raw_value, address)
        if value is not None:
            check_form(cls, value, address)
        return value


def check_form(field: Any, item: str, address: Address) -> None:
    """Refuse a value that does not match the field's pattern, stating what is expected."""
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
