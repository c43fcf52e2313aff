"""apt's solver in a private root folder, for one suite and architecture."""

import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Self

from ops.build.debian.lock import Package

KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)

_PRINTED = re.compile(r"'(?P<uri>[^']+)' (?P<file>\S+) (?P<size>\d+) (?P<hash>\S*)")


class AptError(RuntimeError):
    """apt is missing, or fails; the message is meant for users."""


class Apt:
    """A context in which ``solve`` resolves the dependencies of a set of packages."""

    def __init__(self, suite: str, architecture: str, mirrors: list[str]) -> None:
        self.suite = suite
        self.architecture = architecture
        self.mirrors = mirrors
        self.root = Path()

    def __enter__(self) -> Self:
        if not shutil.which("apt-get"):
            raise AptError("apt-get is not here: Debian locks are refreshed on a Debian machine")
        keyring = next((path for path in KEYRINGS if path.exists()), None)
        if keyring is None:
            raise AptError("no keyring: install the package debian-archive-keyring")
        self.root = Path(tempfile.mkdtemp(prefix="ops-debian-"))
        try:
            self._prepare(keyring)
        except BaseException:
            shutil.rmtree(self.root)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.root)

    def solve(self, packages: tuple[str, ...], exclude: tuple[str, ...] = ()) -> list[Package]:
        """The packages and their dependencies, without Recommends, as one consistent set.

        Packages in ``exclude`` are presented to the solver as installed, at the version of the
        suite, so neither they nor what only they need is in the result. Raises AptError.
        """
        installed = self.root / "var/lib/dpkg/status"
        installed.write_text("", encoding="utf-8")
        # Held: the archive's record of the same version has dependencies, and would replace this.
        installed.write_text(self._installed(exclude), encoding="utf-8")
        printed = self._run("apt-get", "install", "--yes", "--print-uris", *packages)
        found = [self._package(match) for match in _PRINTED.finditer(printed)]
        if unwanted := {package.name for package in found} & set(exclude):
            raise AptError(f"{', '.join(sorted(unwanted))} cannot be excluded")
        if missing := set(packages) - {package.name for package in found}:
            raise AptError(f"apt does not install {', '.join(sorted(missing))} by that name")
        return found

    def _prepare(self, keyring: Path) -> None:
        for folder in (
            "etc/apt/preferences.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
            "var/lib/dpkg",
        ):
            (self.root / folder).mkdir(parents=True)
        (self.root / "var/lib/dpkg/status").touch()
        sources = "".join(
            f"deb [signed-by={keyring}] {mirror} {suite} main\n"
            for suite in (self.suite, f"{self.suite}-updates", f"{self.suite}-security")
            for mirror in self.mirrors
            if _has(mirror, suite)
        )
        if f" {self.suite} main" not in sources:
            raise AptError(
                f"no mirror has the suite {self.suite}; tried {', '.join(self.mirrors)}. "
                "Set DEBIAN_MIRROR to one that has"
            )
        (self.root / "etc/apt/sources.list").write_text(sources, encoding="utf-8")
        # Read after the machine's own settings, whose proxies and certificates stay in force. Its
        # hooks would modify the machine. A snapshot's Release is expired, but its signature is
        # valid.
        (self.root / "apt.conf").write_text(
            "#clear APT::Update;\n#clear APT::Architectures;\n#clear DPkg;\n"
            "#clear Acquire::IndexTargets::deb::DEP-11;\n"
            f'Dir "{self.root}";\n'
            f'Dir::State::status "{self.root}/var/lib/dpkg/status";\n'
            'Dir::Etc::sourceparts "/dev/null";\n'
            f'APT::Architecture "{self.architecture}";\n'
            f'APT::Architectures {{ "{self.architecture}"; }};\n'
            'APT::Install-Recommends "false";\n'
            'APT::Install-Suggests "false";\n'
            'APT::Sandbox::User "root";\n'
            'Acquire::Languages "none";\n'
            'Acquire::Check-Valid-Until "false";\n'
            'Acquire::Retries "2";\n'
            'Acquire::ForceHash "SHA256";\n'
            'Debug::NoLocking "true";\n',
            encoding="utf-8",
        )
        self._run("apt-get", "update", "--error-on=any")

    def _installed(self, names: tuple[str, ...]) -> str:
        """Records of installed packages, by one call: apt reads its lists at each."""
        if not names:
            return ""
        shown = self._run("apt-cache", "show", "--no-all-versions", *names).strip()
        return "".join(map(_stand_in, re.split(r"\n\n+", shown)))

    def _package(self, match: re.Match[str]) -> Package:
        name, version, _ = urllib.parse.unquote(match["file"]).removesuffix(".deb").split("_")
        kind, _, digest = match["hash"].partition(":")
        if kind != "SHA256":
            raise AptError(f"the mirror's index has no SHA-256 of {name}")
        uri = urllib.parse.unquote(match["uri"])
        mirror = next((base for base in self.mirrors if uri.startswith(base + "/")), None)
        if mirror is None:
            raise AptError(f"apt would take {name} from a place that is no mirror of ours: {uri}")
        path = uri.removeprefix(mirror + "/")
        return Package(self.architecture, name, version, int(match["size"]), digest, path)

    def _run(self, *command: str) -> str:
        done = subprocess.run(
            [command[0], "-c", str(self.root / "apt.conf"), *command[1:]],
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            said = [
                line.removeprefix("E: ").strip()
                for line in (done.stderr + done.stdout).splitlines()
                if line.startswith(("E:", "W:", " ")) and line.strip()
            ]
            raise AptError("; ".join(said) or done.stderr.strip() or f"{command[0]} failed")
        return done.stdout


def _stand_in(record: str) -> str:
    """The status of an installed package without dependencies, from its record in an index."""
    kept = re.sub(
        r"^(?:Depends|Pre-Depends|Recommends|Suggests|Conflicts|Breaks|Filename|SHA256"
        r"|MD5sum|Size|Description|Description-md5|Status):.*\n(?: .*\n)*",
        "",
        record + "\n",
        flags=re.MULTILINE,
    )
    return f"{kept.rstrip()}\nDescription: stands in\nStatus: hold ok installed\n\n"


def _has(mirror: str, suite: str) -> bool:
    try:
        with urllib.request.urlopen(f"{mirror}/dists/{suite}/InRelease", timeout=60) as reply:
            return bool(reply.read(1))
    except (urllib.error.URLError, OSError):
        return False
