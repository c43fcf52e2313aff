"""Secrets in the files of the repository, found by detect-secrets."""

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from detect_secrets.core.secrets_collection import SecretsCollection
from detect_secrets.settings import default_settings, transient_settings

from ops.ci.scan.findings import Finding, UnavailableError

#: The form of invented secrets in tests. Real keys have their own forms, which are searched for
#: there as well.
_LOOSE = {"KeywordDetector", "BasicAuthDetector", "HexHighEntropyString", "Base64HighEntropyString"}
#: Contains only digests.
_SKIPPED = (".lock",)


def tracked(root: Path) -> list[str]:
    """The files below ``root`` that git tracks or would add. Raises UnavailableError."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        raise UnavailableError(f"git does not list the files: {listed.stderr.strip()}")
    names = (name for name in listed.stdout.split("\0") if name)
    return sorted(name for name in names if (root / name).is_file())


def scan(root: Path, names: Iterable[str]) -> Iterator[Finding]:
    """A finding for each distinct secret in each file; ``names`` are relative to ``root``."""
    chosen = [name for name in names if not name.endswith(_SKIPPED)]
    with default_settings() as settings:
        every = settings.json()
    strict = {
        **every,
        "plugins_used": [one for one in every["plugins_used"] if one["name"] not in _LOOSE],
    }
    for tests, plugins in ((False, every), (True, strict)):
        with transient_settings(plugins):
            found = SecretsCollection(str(root))
            for name in chosen:
                if name.startswith("tests/") == tests:
                    found.scan_file(name)
            for name, secret in found:
                # By digest, so that a waiver does not hide the next secret in the file.
                kind = secret.type.replace(" ", "-").lower()
                yield Finding(
                    f"secrets/{name}/{kind}/{secret.secret_hash[:10]}",
                    f"line {secret.line_number} looks like a secret ({secret.type})",
                )
