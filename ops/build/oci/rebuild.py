"""Builds an image again from the commit that its provenance records."""

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.build.oci import evidence, provenance, statements
from ops.build.oci.errors import OciError
from ops.build.oci.keys import PublicKey
from ops.build.oci.links import Link, missing, ok, wrong
from ops.build.oci.stores import Store

# An address of Pants, the name of an object of git, a word: no option of a program.
_TARGET = re.compile(r"(//)?([\w.][\w./-]*)?(:[\w.+-]+)?(#[\w.-]+)?")
_OBJECT = re.compile(r"|[0-9a-f]{40}|[0-9a-f]{64}")
_WORD = re.compile(r"[a-z0-9]+")

#: Variables of the Python that runs this, which must not reach that of the build.
_NOT_PASSED = ("PEX", "__PEX", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Recipe:
    """What a build depends on: the parameters and the source that provenance records."""

    target: str
    commit: str
    tree: str
    uri: str
    compression: str
    annotations: Mapping[str, str]

    @classmethod
    def read(cls, predicate: Mapping[str, Any], commit: str = "") -> "Recipe":
        """The recipe of a build, at another commit than the recorded one if it is given.

        Raises OciError if no commit is known.
        """
        parameters = predicate["buildDefinition"]["externalParameters"]
        source = _source(predicate)
        chosen = commit or source.get("gitCommit", "")
        if not chosen:
            raise OciError(
                f"the provenance of {parameters['target']} records no commit: it was not built by "
                "`make publish`, or from files that differ from their commit"
            )
        # They become arguments of programs, and nobody has vouched for them yet.
        for name, text, form in (
            ("target", parameters["target"], _TARGET),
            ("commit", source.get("gitCommit", ""), _OBJECT),
            ("tree", source.get("gitTree", ""), _OBJECT),
            ("compression", parameters.get("compression", "none"), _WORD),
        ):
            if not form.fullmatch(str(text)):
                raise OciError(f"the provenance names an impossible {name}: {text!r}")
        return cls(
            parameters["target"],
            chosen,
            "" if commit else source.get("gitTree", ""),
            str(parameters.get("source", "")).removeprefix("git+"),
            parameters.get("compression", "none"),
            parameters.get("annotations", {}),
        )

    def options(self, tree: str, builder: str) -> list[str]:
        """The options of Pants that repeat the build."""
        source = {"commit": self.commit, "tree": tree}
        if self.uri:
            source["uri"] = self.uri
        return [
            "--oci-images-package-as-published",
            f"--oci-images-compression={self.compression}",
            f"--oci-images-annotations={dict(self.annotations)!r}",
            f"--oci-images-source={source!r}",
            f"--oci-images-builder-id={builder}",
        ]


@dataclass(frozen=True)
class Rebuilt:
    """``digest`` is that of the target; ``dist`` has the archives and their documents."""

    digest: str
    dist: Path


def commit(predicate: Mapping[str, Any]) -> str:
    """The commit that provenance records; empty if there is none."""
    return str(_source(predicate).get("gitCommit", ""))


def builder(predicate: Mapping[str, Any]) -> str:
    """The id of whoever built it."""
    return str(predicate["runDetails"]["builder"]["id"])


def git(checkout: Path, *words: str) -> str:
    """The output of a command of Git. Raises OciError with what it says."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=checkout, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise OciError(f"git does not run: {error}") from error
    if done.returncode:
        raise OciError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


@contextmanager
def built(recipe: Recipe, by: str, checkout: Path) -> Iterator[Rebuilt]:
    """Builds in a worktree of its own, which is removed afterwards. Raises OciError.

    ``by`` is the builder id in the new provenance, ``checkout`` the repository.
    """
    tree = git(checkout, "rev-parse", "--verify", f"{recipe.commit}^{{tree}}")
    if recipe.tree not in ("", tree):
        raise OciError(f"commit {recipe.commit} has the tree {tree}, not {recipe.tree} as recorded")
    with tempfile.TemporaryDirectory(prefix="rebuild-") as folder:
        place = Path(folder) / "checkout"
        git(checkout, "worktree", "add", "--quiet", "--detach", str(place), recipe.commit)
        try:
            _pants(place, [*recipe.options(tree, by), "package", recipe.target])
            yield Rebuilt(_digest(place / "dist", recipe.target), place / "dist")
        finally:
            git(checkout, "worktree", "remove", "--force", str(place))


def compared(store: Store, keys: Sequence[PublicKey], checkout: Path) -> Link:
    """Whether the commit in the signed provenance builds this digest."""
    found = evidence.collect(store.digest, store.documents(store.digest), keys)
    signed = found.of(statements.PROVENANCE)
    if not signed:
        return missing("rebuild", "no signed provenance says what to build")
    try:
        predicate = signed[0].statement.predicate
        recipe = Recipe.read(predicate)
        with built(recipe, builder(predicate), checkout) as made:
            if made.digest == store.digest:
                return ok("rebuild", f"commit {recipe.commit} builds the same digest")
            return wrong("rebuild", f"commit {recipe.commit} builds {made.digest}")
    except OciError as error:
        return missing("rebuild", str(error))


def _source(predicate: Mapping[str, Any]) -> Mapping[str, str]:
    for one in predicate["buildDefinition"]["resolvedDependencies"]:
        if one.get("name") == provenance.SOURCE:
            return dict(one["digest"])
    return {}


def _pants(place: Path, words: Sequence[str]) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED)}
    command = ["./pants", "--no-pantsd", "--no-dynamic-ui", *words]
    try:
        done = subprocess.run(
            command, cwd=place, env=env, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise OciError(f"{place}: ./pants does not run: {error}") from error
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()[-15:]
        raise OciError("the rebuild failed:\n" + "\n".join(lines))


def _digest(dist: Path, target: str) -> str:
    for file in sorted(dist.rglob("*.provenance.json")):
        document = json.loads(file.read_bytes())
        parameters = document["predicate"]["buildDefinition"]["externalParameters"]
        if parameters["target"] == target:
            return f"sha256:{document['subject'][0]['digest']['sha256']}"
    raise OciError(f"the rebuild wrote no provenance of {target}")
