"""Measure how long an image build takes after an edit, with Pants and with Docker's builder.

    python ops/measure/bench/build/build.py [--rounds 5] [--json FILE]

Works in a copy of the checkout, with warm caches. Each round edits one line of the application;
then both build the API's image, in alternating order, each followed by a build without a change.
Docker's build uses ops/production.Dockerfile; it includes the PEX binary that this file installs,
also built by Pants, and has only that binary as its context. Prints medians and ratios.
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

ROOT = Path(__file__).parents[4]
EDITED = Path("src/fastapi_base/main.py")
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "amd64"
IMAGE = "fastapi-base-bench"


@dataclass
class Times:
    """The seconds of each round, by measurement."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def take(self, name: str, run: Callable[[], None]) -> None:
        """Time a run."""
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
        """Run a command in the checkout; on failure print its output and exit."""
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
        """Build the archive of the API's image with Pants."""
        self.run("./pants", "package", f"ops/images:api#{ARCHITECTURE}")

    def by_docker(self) -> None:
        """Build the API's image in the engine with Docker."""
        self.run("./pants", "package", "ops/images/binaries:api-linux")
        name = "fastapi-base-api-linux.pex"
        shutil.copy2(self.folder / "dist" / name, self.context / "dist" / name)
        arguments = ["--build-arg", "PROGRAM=api", "--tag", IMAGE]
        dockerfile = str(self.folder / "ops/production.Dockerfile")
        self.run("docker", "build", *arguments, "--file", dockerfile, ".", where=self.context)

    def prepare(self) -> None:
        """Fill the caches with everything that edits do not change."""
        self.run("./pants", "package", f"ops/images:python#{ARCHITECTURE}")
        suffix = "-arm64" if ARCHITECTURE == "arm64" else ""
        self.run("docker", "load", "--input", f"dist/python{suffix}.oci.tar")
        if suffix:
            tag = "fastapi-base/python:latest"
            self.run("docker", "tag", f"{tag}{suffix}", tag)
        self.by_pants()
        self.by_docker()


def measure(rounds: int) -> Times:
    """Build in rounds; the order alternates."""
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
    """Medians in seconds, and the ratio of Docker's builder to Pants."""
    lines = ["| | Pants, s | docker build, s | ratio |", "|---|---|---|---|"]
    for case in ("one line edited", "nothing changed"):
        ours, theirs = medians[f"pants, {case}"], medians[f"docker, {case}"]
        lines.append(f"| {case} | {ours:.1f} | {theirs:.1f} | {theirs / ours:.1f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="output file for all figures, as JSON")
    chosen = parser.parse_args(arguments)
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        sys.exit("Docker does not respond: start it, or set DOCKER_HOST to its socket")
    times = measure(chosen.rounds)
    if chosen.json:
        figures = {"cpus": os.cpu_count(), "seconds": times.seconds, "medians": times.medians()}
        chosen.json.write_text(json.dumps(figures, indent=2) + "\n")
    print(table(times.medians()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
