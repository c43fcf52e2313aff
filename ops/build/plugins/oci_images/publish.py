"""`./pants publish`: pushes archives with their documents, signed by a user command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Mapping

from pants.backend.python.util_rules.pex import VenvPexProcess
from pants.core.goals.publish import (
    PublishFieldSet,
    PublishOutputData,
    PublishPackages,
    PublishProcesses,
    PublishRequest,
)
from pants.engine.env_vars import EnvironmentVars, EnvironmentVarsRequest
from pants.engine.fs import Digest, MergeDigests
from pants.engine.process import InteractiveProcess, Process
from pants.engine.rules import Get, MultiGet, collect_rules, rule
from pants.engine.target import (
    AllTargets,
    AllTargetsRequest,
    DescriptionField,
    WrappedTarget,
    WrappedTargetRequest,
)
from pants.util.frozendict import FrozenDict

from oci_images import image_types
from oci_images.builder import OciImages, Program, ProgramRequest
from oci_images.images import (
    DESCRIPTION,
    TITLE,
    VERSION,
    Archive,
    ImageFieldSet,
    ImageRequest,
    IndexFieldSet,
    IndexRequest,
    title,
)

#: Credentials, trusted authorities, and what a signing command needs to start.
ENVIRONMENT = (
    "PATH",
    "HOME",
    "USER",
    "OCI_CREDENTIALS",
    "DOCKER_CONFIG",
    "REGISTRY_AUTH_FILE",
    "XDG_RUNTIME_DIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "SIGNING_KEY_PASSWORD",
)


class PublishImageRequest(PublishRequest):
    pass


@dataclass(frozen=True)
class PublishImageFieldSet(PublishFieldSet):
    publish_request_type = PublishImageRequest
    required_fields = (image_types.RepositoriesField,)

    repositories: image_types.RepositoriesField
    reference: image_types.ReferenceField
    description: DescriptionField

    def get_output_data(self) -> PublishOutputData:
        return PublishOutputData({"publisher": "oci", **super().get_output_data()})


def annotated(
    name: str, description: str | None, tag: str | None, own: Mapping[str, str]
) -> dict[str, str]:
    """The annotations of an image: those of the options over what its target says."""
    known = {TITLE: title(name), DESCRIPTION: description or "", VERSION: tag or "", **own}
    return {key: value for key, value in sorted(known.items()) if value}


def _siblings(everything: AllTargets, name: str) -> list[str]:
    """The repositories of the other images, which share layers with this one."""
    named = {
        str(target[image_types.ReferenceField].value).rpartition(":")[0]
        for target in everything
        if target.has_field(image_types.ReferenceField)
    }
    return sorted(named - {name.rpartition(":")[0]})


def _mounts(repository: str, siblings: Iterable[str]) -> list[str]:
    """The arguments that name the siblings below a registry's folder."""
    folder = repository.partition("/")[2]
    return [f"--mount={folder}/{one}" if folder else f"--mount={one}" for one in siblings]


@rule
async def publish_image(request: PublishImageRequest, options: OciImages) -> PublishProcesses:
    own = request.field_set.repositories
    repositories = options.repositories if own.value is None else own.value
    name = request.field_set.reference.value
    if options.tag:
        name = f"{name.rpartition(':')[0]}:{options.tag}"
    if not repositories:
        why = (
            f"(no [oci-images].repositories, and no `{own.alias}` of {request.field_set.address})"
            if own.value is None
            else f"(`{own.alias}` of {request.field_set.address} is empty)"
        )
        return PublishProcesses([PublishPackages((name,), description=why)])
    annotations = FrozenDict(
        annotated(name, request.field_set.description.value, options.tag, options.annotations)
    )
    # Not request.packages, which are those of dist/.
    wrapped = await Get(
        WrappedTarget,
        WrappedTargetRequest(request.field_set.address, description_of_origin="`publish`"),
    )
    if wrapped.target.has_field(image_types.ImagesField):
        index = IndexFieldSet.create(wrapped.target)
        archive = await Get(Archive, IndexRequest(index, options.compression, annotations))
    else:
        image = ImageFieldSet.create(wrapped.target)
        archive = await Get(Archive, ImageRequest(image, options.compression, annotations))
    program, inputs, environment, everything = await MultiGet(
        Get(Program, ProgramRequest(options.publisher, options.publisher_module)),
        Get(Digest, MergeDigests((archive.digest, archive.documents.digest))),
        Get(EnvironmentVars, EnvironmentVarsRequest((*ENVIRONMENT, *options.sign_env_vars))),
        Get(AllTargets, AllTargetsRequest()),
    )
    words = [
        f"--attach={one.media_type}={one.relpath}@{one.subject}"
        for one in archive.documents.artifacts
    ]
    if options.sign:
        words.append(f"--sign={options.sign}")
    if options.signing_key:
        words.append(f"--key={options.signing_key}")
    if options.move_tags:
        words.append("--move-tags")
    siblings = _siblings(everything, name)
    processes = await MultiGet(
        Get(
            Process,
            VenvPexProcess(
                program.pex,
                argv=(
                    archive.file,
                    f"{repository}/{name}",
                    *words,
                    *_mounts(repository, siblings),
                ),
                input_digest=inputs,
                extra_env=environment,
                description=repository,
            ),
        )
        for repository in repositories
    )
    return PublishProcesses(
        PublishPackages(
            (name,),
            InteractiveProcess.from_process(process),
            process.description,
            PublishOutputData({"repository": process.description}),
        )
        for process in processes
    )


def rules():
    return [*collect_rules(), *PublishImageFieldSet.rules()]
