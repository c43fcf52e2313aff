"""Fixtures of several tests of the API."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from fastapi import FastAPI


@pytest.fixture
async def elsewhere(app: FastAPI, client: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """Calls the same application from another IP address."""
    transport = httpx2.ASGITransport(app=app, client=("198.51.100.9", 1234))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened
