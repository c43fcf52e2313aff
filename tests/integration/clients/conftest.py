"""A client of the application in this process, behind a transport with faults."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest
from fastapi import FastAPI

from fastapi_base_client import AsyncClient, Retries, Tokens, operations
from tests.integration.accounts import PASSWORD
from tests.integration.clients.faults import Faulty


@dataclass
class Caller:
    """A client that is logged in, its transport, and the tokens that it got."""

    api: AsyncClient
    network: Faulty
    tokens: list[Tokens]


@pytest.fixture
async def caller(app: FastAPI) -> AsyncIterator[Caller]:
    network = Faulty(httpx2.ASGITransport(app=app))
    tokens: list[Tokens] = []
    async with (
        app.router.lifespan_context(app),
        AsyncClient(
            "http://test",
            transport=network,
            retries=Retries(first=0.01),
            on_tokens=tokens.append,
        ) as api,
    ):
        await api.send(operations.register({"email": "ada@example.com", "password": PASSWORD}))
        await api.log_in("ada@example.com", PASSWORD)
        network.seen.clear()
        yield Caller(api, network, tokens)
