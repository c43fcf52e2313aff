"""The provenance of an image: reproducible SLSA provenance 1.0 in an in-toto statement.

It lists the inputs by hash: the source commit when it is known, the locks, the packages that they
pin, the layers. It contains no time and no run number: a rebuild of the image produces the same
document, which can be compared.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from ops.build.oci import layer
from ops.build.oci.layer import Layer
from ops.build.oci.sbom import Hashes, purl

MEDIA_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
#: The meaning of the parameters below: ops/build/oci built the target of that name from its locks.
BUILD_TYPE = "urn:fastapi-base:build-type:oci-image:2"
#: The name of the dependency that is the source repository.
SOURCE = "source"
#: The end of a commit's name if files differed from it.
DIRTY = "-dirty"

Descriptor = Mapping[str, Any]


def image(
    origin: str,
    digest: str,
    reference: str,
    platform: str,
    layers: Sequence[Layer],
    locks: Mapping[str, bytes],
    builder: str,
    form: Mapping[str, Any],
    source: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The statement for an image with this manifest digest.

    ``locks`` maps the path of each lock to its content. ``form`` has the other parameters on which
    the digest depends: ``compression`` and ``annotations``. ``builder`` is the URI of the trusted
    build platform (SLSA, "builder.id"). ``source`` has ``commit`` and ``tree``, the names of Git's
    objects, and ``uri``, the repository, if they are known.
    """
    hashes = Hashes(content.decode() for content in locks.values())
    return _statement(
        reference,
        digest,
        {"target": origin, "platform": platform, **form, **_external(source)},
        [*_source(source), *_locks(locks), *_packages(layers, hashes)],
        [
            {
                "name": one.comment,
                "digest": _digest(one.digest),
                "mediaType": layer.MEDIA_TYPE,
                "annotations": {"target": one.origin},
            }
            for one in layers
        ],
        builder,
    )


def index(
    origin: str,
    digest: str,
    reference: str,
    images: Mapping[str, str],
    builder: str,
    form: Mapping[str, Any],
    source: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The statement for an index that joins ``images``, which maps platforms to digests."""
    joined = [
        {"name": platform, "digest": _digest(one)} for platform, one in sorted(images.items())
    ]
    parameters = {"target": origin, **form, **_external(source)}
    inputs = [*_source(source), *joined]
    return _statement(reference, digest, parameters, inputs, [], builder)


def _external(source: Mapping[str, str]) -> dict[str, str]:
    """The parameter that names the source repository, as whoever starts a build does."""
    return {"source": _address(source)} if source.get("uri") else {}


def _source(source: Mapping[str, str]) -> Iterator[Descriptor]:
    """The commit that was built; nothing if files differed from it."""
    commit, tree = source.get("commit", ""), source.get("tree", "")
    if not commit or commit.endswith(DIRTY):
        return
    named = {"uri": _address(source, f"@{commit}")} if source.get("uri") else {}
    yield {"name": SOURCE, **named, "digest": {"gitCommit": commit, "gitTree": tree}}


def _address(source: Mapping[str, str], commit: str = "") -> str:
    return f"git+{source['uri'].removeprefix('git+')}{commit}"


def _statement(
    reference: str,
    digest: str,
    parameters: Mapping[str, Any],
    inputs: Iterable[Descriptor],
    byproducts: Iterable[Descriptor],
    builder: str,
) -> str:
    made = list(byproducts)
    document = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": reference.rpartition(":")[0], "digest": _digest(digest)}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": dict(parameters),
                "resolvedDependencies": list(inputs),
            },
            "runDetails": {"builder": {"id": builder}, **({"byproducts": made} if made else {})},
        },
    }
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _locks(locks: Mapping[str, bytes]) -> Iterator[Descriptor]:
    for path, content in sorted(locks.items()):
        yield {"name": path, "digest": {"sha256": sha256(content).hexdigest()}}


def _packages(layers: Iterable[Layer], known: Hashes) -> Iterator[Descriptor]:
    found: dict[str, Descriptor] = {}
    for component in (one for each in layers for one in each.components if one.kind != "app"):
        uri = purl(component).to_string()
        hashes = known.of(component)
        if len(hashes) == 1:
            found[uri] = {"uri": uri, "digest": {"sha256": hashes[0]}}
        else:
            # The lock allows several files of a release, for several platforms: it was one of them.
            found[uri] = {"uri": uri, "annotations": {"locked:sha256": hashes}}
    yield from (found[uri] for uri in sorted(found))


def _digest(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}
