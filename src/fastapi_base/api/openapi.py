"""The OpenAPI description: what FastAPI derives from the routes, completed for clients.

FastAPI leaves out what middleware answers, that a route is public, and that a cookie replaces a
token. Generated clients take their names from the description: components have the names of the
models, and an operation that of its function.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from fastapi_base.api import deprecation
from fastapi_base.api.dependencies.cookies import CSRF_HEADER
from fastapi_base.api.errors import MEDIA_TYPE, status_of, type_uri
from fastapi_base.core.config import Settings
from fastapi_base.core.errors import (
    CrossSiteRequest,
    DeadlineExceeded,
    DomainError,
    Overloaded,
    RateLimited,
    TooManyAtOnce,
)
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
    408: ("request-timeout", "Request Timeout", "The body must arrive within 30 s"),
    413: ("content-too-large", "Content Too Large", "The body has more than 1048576 bytes"),
    415: ("unsupported-media-type", "Unsupported Media Type", "The media type is not supported"),
    421: ("misdirected-request", "Misdirected Request", "This service does not serve the host"),
    422: ("invalid-request", "The request is invalid", "1 part(s) of the request are invalid"),
    500: ("internal-error", "Internal error", "The error was logged with this request id"),
}
_SCHEMAS = "#/components/schemas/"
_EXAMPLES = "#/components/examples/"
_SAFE_METHODS = frozenset({"get", "head", "options"})
_WAIT = {"description": "Seconds until the next attempt.", "schema": {"type": "integer"}}
_CHALLENGE = {"description": "The scheme `Bearer` (RFC 6750).", "schema": {"type": "string"}}
_HEADERS = {
    401: {"WWW-Authenticate": _CHALLENGE},
    429: {"Retry-After": _WAIT},
    503: {"Retry-After": _WAIT},
}
# FastAPI derives the other schemes from dependencies.
_SCHEMES = {
    "csrf-token": {
        "type": "apiKey",
        "in": "header",
        "name": CSRF_HEADER,
        "description": "The token of /auth/csrf, beside the cookie.",
    },
    "operator": {
        "type": "http",
        "scheme": "bearer",
        "description": "The token of the operators (`HEALTH_TOKEN`).",
    },
}

# The `openapi_extra` of routes whose credentials are optional.
SESSION_OR_NONE: dict[str, Any] = {"security": [{}, {"password": []}]}
OPERATOR_OR_NONE: dict[str, Any] = {"security": [{}, {"operator": []}]}
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
    """The `responses` of a route that can raise these domain errors.

    Statuses stand for errors of the framework. The description adds those to every route.
    """
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
                    "schema": {"$ref": f"{_SCHEMAS}Problem"},
                    "examples": {
                        code: {"summary": title, "value": _example(status, code, title, detail)}
                        for code, title, detail in found.values()
                    },
                }
            },
            **({"headers": _HEADERS[status]} if status in _HEADERS else {}),
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


def about(settings: Settings) -> dict[str, Any]:
    """The arguments of FastAPI that describe this deployment: its servers, contact and licence."""
    given = settings.openapi
    contact = {
        "name": given.contact_name,
        "url": given.contact_url,
        "email": given.contact_email,
    }
    # Without a setting: the host that serves the description.
    servers = given.servers or (settings.api.path_prefix or "/",)
    return {
        "servers": [{"url": url} for url in servers],
        "contact": {name: value for name, value in contact.items() if value} or None,
        "license_info": {
            "name": given.license_name,
            **({"url": given.license_url} if given.license_url else {}),
        }
        if given.license_name
        else None,
    }


def schema(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The replacement of `app.openapi`, generated once."""

    def build() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    summary=app.summary,
                    description=app.description,
                    routes=app.routes,
                    tags=app.openapi_tags,
                    servers=app.servers,
                    contact=app.contact,
                    license_info=app.license_info,
                    separate_input_output_schemas=app.separate_input_output_schemas,
                )
            )
            deprecation.describe(app.openapi_schema, app.routes)
        return app.openapi_schema

    return build


def _complete(document: dict[str, Any]) -> dict[str, Any]:
    components = document["components"]
    schemas: dict[str, Any] = components["schemas"]
    described = Problem.model_json_schema(ref_template=f"{_SCHEMAS}{{model}}")
    schemas.update(described.pop("$defs", {}))
    schemas["Problem"] = described
    # FastAPI's schemas of validation errors, which this API does not use.
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    schemes = components["securitySchemes"] | _SCHEMES
    components["securitySchemes"] = schemes
    # Clients resolve a path here against the host, without the path of the server.
    server = document["servers"][0]["url"].rstrip("/")
    for scheme in schemes.values():
        for flow in scheme.get("flows", {}).values():
            flow["tokenUrl"] = server + flow["tokenUrl"]
    examples: dict[str, Any] = {}
    components["examples"] = examples
    for path, method, operation in _operations(document):
        operation["security"] = _security(method, operation.get("security", []))
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = _as_sent(parameter["schema"])
        for body in operation.get("requestBody", {}).get("content", {}).values():
            _name_body(schemas, body)
        _add_problems(operation, _of_every_route(path, operation))
        for reply in operation["responses"].values():
            for media_type, content in reply.get("content", {}).items():
                if media_type == MEDIA_TYPE:
                    examples |= content["examples"]
                    content["examples"] = {
                        code: {"$ref": f"{_EXAMPLES}{code}"} for code in content["examples"]
                    }
                else:
                    content.get("schema", {}).pop("title", None)
    for name, schema in [*schemas.items()]:
        members: dict[str, Any] = schema.get("properties", {})
        for member in members.values():
            # Repeats the name.
            member.pop("title", None)
        if name.startswith("Body_"):
            # The fields of a form, which FastAPI names after the operation.
            schema["title"] = f"{name.removeprefix('Body_').title().replace('_', '')}Form"
            schema["properties"] = {key: _not_null(member) for key, member in members.items()}
        elif not name.endswith("_"):
            continue
        # A form, or a generic model such as `Page_JobRead_`.
        schemas[schema["title"]] = schemas.pop(name)
        _refer(document, f"{_SCHEMAS}{name}", f"{_SCHEMAS}{schema['title']}")
    components["schemas"] = dict(sorted(schemas.items()))
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def _security(method: str, ways: list[dict[str, list[str]]]) -> list[dict[str, list[str]]]:
    """The alternatives of a route; none if it is public.

    The cookie of a session replaces its access token; unsafe methods also need the CSRF token.
    """
    found = [way for way in ways if "cookie" not in way]
    for scopes in [way["password"] for way in ways if "password" in way]:
        found.append({"cookie": scopes})
        if method not in _SAFE_METHODS:
            found[-1]["csrf-token"] = []
    return found


def _as_sent(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a parameter as text: it can be absent but not null, and one value is no list.

    Its title and description repeat those of the parameter.
    """
    schema = _not_null(schema)
    if schema.get("maxItems") == 1:
        schema = schema["items"]
    return {key: value for key, value in schema.items() if key not in ("title", "description")}


def _name_body(schemas: dict[str, Any], body: dict[str, Any]) -> None:
    """Make a component of a body that a route describes itself, by its title."""
    described = body["schema"]
    if described.get("type") == "object" and "title" in described:
        schemas[described["title"]] = described
        body["schema"] = {"$ref": f"{_SCHEMAS}{described['title']}"}


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value that text represents: it can be absent but not null."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return schema
    return {**kinds[0], **{key: value for key, value in schema.items() if key != "anyOf"}}


def _refer(node: Any, old: str, new: str) -> None:
    """Replace a reference everywhere in the node."""
    if isinstance(node, dict):
        if node.get("$ref") == old:
            node["$ref"] = new
        node = [*node.values()]
    if isinstance(node, list):
        for part in node:
            _refer(part, old, new)


def _of_every_route(path: str, operation: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    """The errors that middleware answers, beside those that the route lists."""
    if path.startswith("/health/"):
        return problems(500)
    body = (400, 408, 413, 415) if "requestBody" in operation else ()
    # Too many bodies of one IP address are not awaited (middleware/body.py).
    waiting = (TooManyAtOnce,) if body else ()
    # Any part of a request can hold text that is refused (dependencies/bounds.py).
    bounds = (422,) if path.startswith("/api/") else ()
    cookie = any("csrf-token" in way for way in operation["security"])
    return problems(
        *body,
        *bounds,
        421,
        500,
        *((CrossSiteRequest,) if cookie else ()),
        RateLimited,
        *waiting,
        DeadlineExceeded,
        Overloaded,
    )


def _add_problems(operation: dict[str, Any], more: dict[int | str, dict[str, Any]]) -> None:
    responses = operation["responses"]
    for status, reply in more.items():
        known = responses.setdefault(str(status), reply)
        if MEDIA_TYPE not in known["content"]:
            # FastAPI's own 422.
            known = responses[str(status)] = reply
        examples = known["content"][MEDIA_TYPE]["examples"]
        examples |= reply["content"][MEDIA_TYPE]["examples"]
        known["description"] = "; ".join(example["summary"] for example in examples.values())
    # By status, successes first.
    operation["responses"] = dict(sorted(responses.items()))
