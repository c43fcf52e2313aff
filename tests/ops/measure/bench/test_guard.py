"""The guard against slowdowns: what passes, and what it reports."""

from ops.measure.bench.api import GUARD, beyond


def summary(factor: float) -> list[dict[str, float | str]]:
    """Every workload takes this multiple of what the guard allows."""
    return [
        {"workload": name, "subject": subject, "cpu_ms_per_request": cpu}
        for name, allowed in GUARD.items()
        for subject, cpu in (("ours", 0.1 * allowed * factor), ("baseline", 0.1))
    ]


def test_ratios_within_the_guard_pass() -> None:
    assert beyond(summary(0.99)) == []


def test_workload_beyond_the_guard_is_reported_with_its_ratio() -> None:
    rows = summary(0.5)
    slow = next(row for row in rows if (row["workload"], row["subject"]) == ("me", "ours"))
    slow["cpu_ms_per_request"] = 0.1 * GUARD["me"] * 2
    assert beyond(rows) == [f"me {GUARD['me'] * 2:.1f} times, at most {GUARD['me']:g}"]
