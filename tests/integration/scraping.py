"""The metrics as Prometheus would see them."""

from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]
        self.names = {sample.name for sample in self.samples}

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name that have at least these labels."""
        return sum(
            sample.value
            for sample in self.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def values(self, name: str, label: str) -> set[str]:
        """The values of a label."""
        return {sample.labels[label] for sample in self.samples if sample.name == name}


async def scrape(port: int | str) -> Scrape:
    """Scrape once."""
    async with httpx2.AsyncClient() as client:
        reply = await client.get(f"http://127.0.0.1:{port}/metrics", timeout=30)
    assert reply.status_code == 200
    return Scrape(reply.text)


def folders(pid: int) -> list[Path]:
    """The metric directories of a program's processes, by the process that started them."""
    return list(Path("/dev/shm").glob(f"fastapi-base-metrics-{pid}-*"))


def writers(pid: int) -> set[int]:
    """The processes that have files there; 0 stands for those that ended."""
    (folder,) = folders(pid)
    return {int(path.stem.rpartition("_")[2]) for path in folder.glob("*.db")}
