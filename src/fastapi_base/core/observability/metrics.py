"""Metrics: the registry and its factory functions. docs/observability.md lists all names.

A module that measures something creates its metric at import:

    HITS = metrics.counter("cache_hits", "Reads answered by the cache", "cache")
    _USERS = HITS.child("users")   # at set-up, or where it is used

A metric opens its file only when its first child is created. By then, the process knows whether it
is one of several (core/observability/metrics_endpoint.py), and prometheus_client writes to files
that are aggregated at scrape time.

Label values come from small closed sets: never an id, an address or a raw path.
"""

from collections.abc import Callable, Sequence
from functools import cache, cached_property, partial
from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Seconds. Narrow buckets for typical request times, wide ones above; few, because each is a series.
DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REGISTRY = CollectorRegistry()


class Metric[M: Counter | Gauge | Histogram]:
    """A metric that is created on first use."""

    def __init__(self, make: Callable[[], M]) -> None:
        self._make = make
        self.child: Callable[..., M] = cache(self._child)

    @cached_property
    def _made(self) -> M:
        return self._make()

    def _child(self, *values: str) -> M:
        """The time series with these label values, in order. Keep a reference on hot paths."""
        return cast("M", self._made.labels(*values)) if values else self._made


def counter(name: str, text: str, *labels: str) -> Metric[Counter]:
    """A counter, which only increases. Prometheus exposes it as `name_total`."""
    return Metric(partial(Counter, name, text, labels, registry=REGISTRY))


def gauge(name: str, text: str, *labels: str) -> Metric[Gauge]:
    """A gauge. The values of several processes are added."""
    return Metric(
        partial(Gauge, name, text, labels, registry=REGISTRY, multiprocess_mode="livesum")
    )


def histogram(
    name: str, text: str, *labels: str, buckets: Sequence[float] = DURATIONS
) -> Metric[Histogram]:
    """A histogram of observations, with their count and sum. `buckets` are upper bounds."""
    return Metric(partial(Histogram, name, text, labels, registry=REGISTRY, buckets=buckets))
