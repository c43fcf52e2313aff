"""Libraries used beyond their public API, and the versions that are covered by tests.

docs/developing.md has a table of these uses and their tests. The bounds repeat those of
3rdparty/python/app.txt, which does not apply if the package is installed by other means.
"""

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

#: The first untested version of each library.
TESTED: Mapping[str, str] = {
    "asyncpg": "0.33",
    "celery": "5.8",
    "fastapi": "0.166",
    "gunicorn": "28",
    "kombu": "5.8",
    "opentelemetry-exporter-otlp-proto-http": "2",
    "prometheus-client": "0.27",
    "redis": "9",
    "sentry-sdk": "3",
    "sqlalchemy": "2.2",
    "starlette": "1.11",
    "structlog": "27",
    "uvicorn": "0.55",
    "uvicorn-worker": "0.5",
    "zxcvbn": "4.6",
}


def untested(tested: Mapping[str, str] = TESTED) -> Iterator[str]:
    """A sentence for each installed library that is newer than the tested versions."""
    for name, bound in tested.items():
        try:
            found = version(name)
        except PackageNotFoundError:
            continue
        if _numbers(found) >= _numbers(bound):
            yield f"{name} {found} is installed; tested are versions before {bound}"


def _numbers(text: str) -> tuple[int, ...]:
    """The release segment of a version (PEP 440), without pre-release markers."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(map(int, found[0].split("."))) if found else ()
