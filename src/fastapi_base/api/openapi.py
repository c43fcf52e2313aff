"""The OpenAPI description: problem documents for errors, one operation id per function."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from fastapi_base.api.errors import MEDIA_TYPE, status_of, type_uri
from fastapi_base.core.errors import DomainError
from fastapi_base.schemas.problem import Problem

DESCRIPTION = """
Register, log in (or press **Authorize**), then call the rest with the access token.

Errors are problem documents ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)). `type` is a
stable identifier of the kind of error. Quote `request_id` in support requests.
"""

TAGS = [
    {"name": "auth", "description": "Registration, login, tokens."},
    {"name": "sessions", "description": "The sessions of an account."},
    {"name": "users", "description": "Accounts."},
    {"name": "admin", "description": "Accounts and the audit log, for superusers."},
    {"name": "api-keys", "description": "API keys for programs."},
    {"name": "invitations", "description": "Invitations to register, for superusers."},
    {"name": "jobs", "description": "Background jobs."},
    {"name": "items", "description": "An example of a resource that users own."},  # slice: items
    {"name": "feature-flags", "description": "Feature flags that can be changed at run time."},
    {"name": "health", "description": "For load balancers and orchestrators."},
]

_FRAMEWORK = {
    400: ("bad-request", "Bad Request", "There was an error parsing the body"),
    413: ("content-too-large", "Content Too Large", "The body has more than 1048576 bytes"),
    415: ("unsupported-media-type", "Unsupported Media Type", "The media type is not supported"),
    422: ("invalid-request", "The request is invalid", "1 part(s) of the request are invalid"),
}
_REF = "#/components/schemas/Problem"

# The `responses` of a route that enqueues a job.
JOB_ENQUEUED: dict[int | str, dict[str, Any]] = {
    202: {
        "headers": {
            "Location": {
                "description": "The URL of the job.",
                "schema": {"type": "string", "format": "uri-reference"},
            }
        }
    }
}


def problems(*kinds: type[DomainError] | int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can raise these domain errors or return 400 or 422."""
    by_status: dict[int, dict[str, tuple[str, str, str]]] = defaultdict(dict)
    for kind in kinds:
        if isinstance(kind, int):
            by_status[kind][_FRAMEWORK[kind][0]] = _FRAMEWORK[kind]
        else:
            by_status[status_of(kind)][kind.code] = (kind.code, kind.title, kind.title)
    return {
        status: {
            "description": "; ".join(title for _, title, _ in found.values()),
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": _REF},
                    "examples": {
                        code: {"summary": title, "value": _example(status, code, title, detail)}
                        for code, title, detail in found.values()
                    },
                }
            },
        }
        for status, found in sorted(by_status.items())
    }


def _example(status: int, code: str, title: str, detail: str) -> dict[str, Any]:
    return {
        "type": type_uri(code),
        "title": title,
        "status": status,
        "detail": detail,
        "instance": "/api/v1/example",
        "request_id": "5f0c2a9be1d34c075f0c2a9be1d34c07",
    }


def operation_id(route: APIRoute) -> str:
    """The function's name: short, and stable when paths change. A test asserts uniqueness."""
    return route.name


def schema(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The replacement of `app.openapi`: generated once, with the error responses described."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
                servers=app.servers,
                separate_input_output_schemas=app.separate_input_output_schemas,
            )
            schemas = document.setdefault("components", {}).setdefault("schemas", {})
            reference = "#/components/schemas/{model}"
            described = Problem.model_json_schema(ref_template=reference)
            schemas.update(described.pop("$defs", {}))
            schemas["Problem"] = described
            # FastAPI's schemas of validation errors, which this API does not use.
            schemas.pop("HTTPValidationError", None)
            schemas.pop("ValidationError", None)
            # Clients resolve a path here against the host, without the path of the server.
            prefix = app.servers[0]["url"] if app.servers else ""
            for scheme in document["components"].get("securitySchemes", {}).values():
                for flow in scheme.get("flows", {}).values():
                    flow["tokenUrl"] = prefix + flow["tokenUrl"]
            app.openapi_schema = document
        return app.openapi_schema

    return build
