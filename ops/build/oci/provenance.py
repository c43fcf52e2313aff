"""The provenance of an image: reproducible SLSA provenance 1.0 in an in-toto statement.

It lists the inputs by hash: the locks, the packages that they pin, the layers. It contains no time
and no run number: a rebuild of the image produces the same document, which can be compared.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from ops.build.oci import layer
from ops.build.oci.layer import Layer
from ops.build.oci.sbom import locked_hashes, purl

MEDIA_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
#: The meaning of the parameters below: ops/build/oci built the target of that name from its locks.
BUILD_TYPE = "urn:fastapi-base:build-type:oci-image:1"

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
) -> str:
    """The statement for an image with this manifest digest.

    ``locks`` maps the path of each lock to its content. ``form`` has the other parameters on which
    the digest depends: ``compression`` and ``annotations``. ``builder`` is the URI of the trusted
    build platform (SLSA, "builder.id").
    """
    allowed: dict[tuple[str, str], list[str]] = {}
    for content in locks.values():
        allowed |= locked_hashes(content.decode())
    return _statement(
        reference,
        digest,
        {"target": origin, "platform": platform, **form},
        [*_locks(locks), *_packages(layers, allowed)],
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
) -> str:
    """The statement for an index that joins ``images``, which maps platforms to digests."""
    joined = [
        {"name": platform, "digest": _digest(one)} for platform, one in sorted(images.items())
    ]
    parameters = {"target": origin, **form}
    return _statement(reference, digest, parameters, joined, [], builder)


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


def _packages(
    layers: Iterable[Layer], allowed: Mapping[tuple[str, str], list[str]]
) -> Iterator[Descriptor]:
    found: dict[str, Descriptor] = {}
    for component in (one for each in layers for one in each.components):
        uri = purl(component).to_string()
        hashes = [component.sha256] if component.sha256 else []
        if component.kind == "pypi":
            hashes = allowed.get((component.name, component.version), [])
        if len(hashes) == 1:
            found[uri] = {"uri": uri, "digest": {"sha256": hashes[0]}}
        else:
            # The lock allows several files of a release, for several platforms: it was one of them.
            found[uri] = {"uri": uri, "annotations": {"locked:sha256": hashes}}
    yield from (found[uri] for uri in sorted(found))


def _digest(digest: str) -> dict[str, str]:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}
