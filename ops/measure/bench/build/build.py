"""How long an image takes after an edit: by Pants, and by Docker's builder on our Dockerfile.

    python ops/bench/build/build.py [--rounds 5] [--json FILE]

Works in a copy of the checkout, with warm caches. In each round one line of the application is
edited; then both make the API's image of it, in turns that alternate, each followed by a run in
which nothing has changed. Docker's way is ops/production.Dockerfile; it includes the PEX binary
that this installs, made by Pants as well, and takes it alone as context. Prints medians, ratios.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
EDITED = Path("src/fastapi_base/main.py")
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "amd64"
IMAGE = "fastapi-base-bench"


@dataclass
class Times:
    """Seconds of each round, by what was measured."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def take(self, name: str, run: Callable[[], None]) -> None:
        """Measure a run."""
        start = time.perf_counter()
        run()
        self.seconds.setdefault(name, []).append(time.perf_counter() - start)

    def medians(self) -> dict[str, float]:
        """The median of each, in seconds."""
        return {name: statistics.median(rounds) for name, rounds in self.seconds.items()}


class Checkout:
    """A copy of the repository to edit and build in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout.decode()
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        self.context = folder / "context"
        (self.context / "dist").mkdir(parents=True)

    def run(self, *command: str, where: Path | None = None) -> None:
        """Run a command in the checkout, or tell what it wrote and end."""
        done = subprocess.run(
            command, cwd=where or self.folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")

    def edit(self, number: int) -> None:
        """Change one line of the application."""
        text = (ROOT / EDITED).read_text()
        (self.folder / EDITED).write_text(f"{text}\n# Edit {number} of {os.getpid()}.\n")

    def by_pants(self) -> None:
        """The archive of the API's image."""
        self.run("./pants", "package", f"ops/images:api#{ARCHITECTURE}")

    def by_docker(self) -> None:
        """The API's image in the engine."""
        self.run("./pants", "package", "ops/binaries:api-linux")
        name = "fastapi-base-api-linux.pex"
        shutil.copy2(self.folder / "dist" / name, self.context / "dist" / name)
        arguments = ["--build-arg", "PROGRAM=api", "--tag", IMAGE]
        dockerfile = str(self.folder / "ops/production.Dockerfile")
        self.run("docker", "build", *arguments, "--file", dockerfile, ".", where=self.context)

    def prepare(self) -> None:
        """Fill the caches: what is the same after every edit is there already."""
        self.run("./pants", "package", f"ops/images:python#{ARCHITECTURE}")
        suffix = "-arm64" if ARCHITECTURE == "arm64" else ""
        self.run("docker", "load", "--input", f"dist/python{suffix}.oci.tar")
        if suffix:
            tag = "fastapi-base/python:latest"
            self.run("docker", "tag", f"{tag}{suffix}", tag)
        self.by_pants()
        self.by_docker()


def measure(rounds: int) -> Times:
    """Build in rounds; who comes first alternates."""
    times = Times()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        checkout = Checkout(Path(folder))
        ways = {"pants": checkout.by_pants, "docker": checkout.by_docker}
        checkout.prepare()
        for number in range(rounds):
            checkout.edit(number)
            for name in sorted(ways, reverse=bool(number % 2)):
                times.take(f"{name}, one line edited", ways[name])
            for name in sorted(ways, reverse=bool(number % 2)):
                times.take(f"{name}, nothing changed", ways[name])
    return times


def table(medians: dict[str, float]) -> str:
    """Medians in seconds, and how much longer Docker's builder takes."""
    lines = ["| | Pants, s | docker build, s | ratio |", "|---|---|---|---|"]
    for case in ("one line edited", "nothing changed"):
        ours, theirs = medians[f"pants, {case}"], medians[f"docker, {case}"]
        lines.append(f"| {case} | {ours:.1f} | {theirs:.1f} | {theirs / ours:.1f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write every figure there")
    chosen = parser.parse_args(arguments)
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        sys.exit("docker does not answer: start it, or set DOCKER_HOST to its socket")
    times = measure(chosen.rounds)
    if chosen.json:
        figures = {"cpus": os.cpu_count(), "seconds": times.seconds, "medians": times.medians()}
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")
    print(table(times.medians()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
