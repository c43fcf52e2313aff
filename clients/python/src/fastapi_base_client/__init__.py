"""A client of the API.

from fastapi_base_client import Client, operations

with Client("https://api.example.com") as api:
    api.log_in("ada@example.com", "correct horse battery staple")
    print(api.send(operations.read_me())["email"])
"""

from fastapi_base_client import models, operations, problems
from fastapi_base_client.async_client import AsyncClient
from fastapi_base_client.call import Call, PageCall
from fastapi_base_client.client import Client
from fastapi_base_client.errors import ApiError, ClientError, JobNotSucceeded
from fastapi_base_client.exchange import ApiKey, Tokens
from fastapi_base_client.reply import Reply
from fastapi_base_client.retries import Retries
from fastapi_base_client.version import VERSION

__all__ = [
    "VERSION",
    "ApiError",
    "ApiKey",
    "AsyncClient",
    "Call",
    "Client",
    "ClientError",
    "JobNotSucceeded",
    "PageCall",
    "Reply",
    "Retries",
    "Tokens",
    "models",
    "operations",
    "problems",
]
