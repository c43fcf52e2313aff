"""Metrics: what is counted and measured, by one set of names (docs/observability.md lists them).

A module that measures something makes its metric at import, by the functions here:

    HITS = metrics.counter("cache_hits", "Answers that came from the cache", "cache")
    _USERS = HITS.child("users")   # at set-up, or where it is used

Nothing is opened before a first child is asked for. By then the process knows whether it is one of
several (core/metrics_endpoint.py), and prometheus_client writes to a file that all of them share.
Labels come from small closed sets: never an id, an address or a raw path.
"""

from collections.abc import Callable, Sequence
from functools import cache, cached_property, partial
from typing import Literal, cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Seconds. Fine where requests are, coarse where somebody waits; few, since each is a series.
DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REGISTRY = CollectorRegistry()


class Metric[M: Counter | Gauge | Histogram]:
    """A metric that is made when it is first used."""

    def __init__(self, make: Callable[[], M]) -> None:
        self._make = make
        self.child: Callable[..., M] = cache(self._child)

    @cached_property
    def _made(self) -> M:
        return self._make()

    def _child(self, *values: str) -> M:
        """The series with these values of the labels, in their order; keep it on a hot path."""
        return cast("M", self._made.labels(*values)) if values else self._made


def counter(name: str, text: str, *labels: str) -> Metric[Counter]:
    """What only grows. Prometheus sees `name_total`."""
    return Metric(partial(Counter, name, text, labels, registry=REGISTRY))


def gauge(
    name: str,
    text: str,
    *labels: str,
    over: Literal["livesum", "livemax", "livemostrecent"] = "livesum",
) -> Metric[Gauge]:
    """What goes up and down. `over` says what several processes make together."""
    return Metric(partial(Gauge, name, text, labels, registry=REGISTRY, multiprocess_mode=over))


def histogram(
    name: str, text: str, *labels: str, buckets: Sequence[float] = DURATIONS
) -> Metric[Histogram]:
    """How what is observed is spread, and so its number and its sum too."""
    return Metric(partial(Histogram, name, text, labels, registry=REGISTRY, buckets=buckets))
