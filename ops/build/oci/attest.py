"""Attest an image: build it again, and sign that the result is the same.

    python -m ops.build.oci.attest IMAGE --key KEY.pem --builder URI [--commit COMMIT]
        [--attach TYPE=FILE]

IMAGE is HOST/NAME@sha256:DIGEST, or an archive that `./pants package` wrote. The signed provenance
and SBOM are those of the rebuild, with the id of its builder. They are attached to the image, or
written beside the archive. Nothing is signed if the digests differ.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.build.oci import dsse, provenance, publish, rebuild, statements, stores
from ops.build.oci.errors import OciError
from ops.build.oci.keys import PrivateKey
from ops.build.oci.publish import Attachment
from ops.build.oci.rebuild import Rebuilt, Recipe
from ops.build.oci.statements import Statement
from ops.build.oci.stores import LayoutStore, RegistryStore, Store


@dataclass(frozen=True)
class Attester:
    """Who signs: a key, and the URI that names the builder."""

    key: PrivateKey
    builder: str


def attest(
    store: Store, by: Attester, checkout: Path, commit: str = "", more: tuple[Attachment, ...] = ()
) -> Iterator[str]:
    """Rebuild, compare, sign and attach; yields a line after each step. Raises OciError.

    ``commit`` replaces the recorded one. ``more`` are further documents to sign.
    """
    recipe = Recipe.read(_recorded(store), commit or _head(store, checkout))
    yield f"building {recipe.target} at {recipe.commit}"
    with rebuild.built(recipe, by.builder, checkout) as made:
        if made.digest != store.digest:
            raise OciError(f"the rebuild is {made.digest}, not {store.digest}: nothing was signed")
        yield f"the rebuild is the same: {made.digest}"
        found = [*_documents(made, store), *more]
        if isinstance(store, LayoutStore):
            _keep(made, store)
    envelopes = [(one, _signed(one, store, by.key)) for one in found]
    if isinstance(store, RegistryStore):
        for one, (kind, content) in envelopes:
            subject = one.subject or store.digest
            note = {statements.PREDICATE_KEY: kind}
            publish.attach(subject, dsse.MEDIA_TYPE, content, store.registry, note)
            yield f"attached to {subject}: {kind}"
    elif isinstance(store, LayoutStore):
        path = stores.write(store, [content for _, (_, content) in envelopes])
        yield f"written to {path}"


def _signed(one: Attachment, store: Store, key: PrivateKey) -> tuple[str, bytes]:
    digest = one.subject or store.digest
    payload = statements.statement(one.media_type, one.content, store.name, digest)
    return Statement.parse(payload).kind, statements.sign(payload, key).encode()


def _recorded(store: Store) -> Mapping[str, Any]:
    """The predicate of the provenance, signed or not: whether it is true, the rebuild shows."""
    for document in store.documents(store.digest):
        payload = document.content
        if document.media_type == dsse.MEDIA_TYPE:
            payload = dsse.Envelope.parse(payload).payload
        elif document.media_type != provenance.MEDIA_TYPE:
            continue
        statement = Statement.parse(payload)
        if statement.kind == statements.PROVENANCE and store.digest in statement.subjects:
            return statement.predicate
    raise OciError(f"{store.name}@{store.digest} has no provenance that says what to build")


def _head(store: Store, checkout: Path) -> str:
    """The commit of an archive that was just built here; that of a published image is recorded."""
    if isinstance(store, RegistryStore) or rebuild.commit(_recorded(store)):
        return ""
    if rebuild.git(checkout, "status", "--porcelain", "--untracked-files=no"):
        raise OciError(
            f"{store.name}: its provenance records no commit, and files here differ from theirs: "
            "commit them, or give the commit"
        )
    return rebuild.git(checkout, "rev-parse", "HEAD")


def _documents(made: Rebuilt, store: Store) -> list[Attachment]:
    """The documents of the rebuild that are about the image, or about those that it joins."""
    index = json.loads(store.manifest(store.digest))
    wanted = [store.digest, *(str(one["digest"]) for one in index.get("manifests", ()))]
    found = []
    for file in sorted(made.dist.rglob("*.json")):
        content = file.read_bytes()
        document = json.loads(content)
        if document.get("bomFormat") == "CycloneDX":
            about, kind = str(document["metadata"]["component"]["version"]), statements.BILL_TYPE
        else:
            about = f"sha256:{document['subject'][0]['digest']['sha256']}"
            kind = provenance.MEDIA_TYPE
        if about in wanted:
            found.append(Attachment(kind, content, about))
    return found


def _keep(made: Rebuilt, store: LayoutStore) -> None:
    """Replace the documents beside an archive by those that are signed."""
    for file in made.dist.rglob("*.json"):
        there = store.stem().parent / file.name
        if there.exists():
            shutil.copyfile(file, there)


def main(arguments: list[str] | None = None) -> int:
    """Attest and report each step; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ops.build.oci.attest",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("image")
    parser.add_argument("--key", required=True, type=Path)
    parser.add_argument("--builder", required=True, metavar="URI")
    parser.add_argument("--commit", default="")
    parser.add_argument("--attach", action="append", default=[], metavar="TYPE=FILE[@DIGEST]")
    chosen = parser.parse_args(arguments)
    try:
        by = Attester(PrivateKey.read(chosen.key), chosen.builder)
        more = tuple(Attachment.parse(text) for text in chosen.attach)
        for line in attest(stores.find(chosen.image), by, Path.cwd(), chosen.commit, more):
            print(line, flush=True)
    except OciError as error:
        print(f"attest: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
