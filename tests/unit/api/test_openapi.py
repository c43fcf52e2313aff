"""The OpenAPI description is complete."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from openapi_spec_validator import validate

from fastapi_base.api.errors import MEDIA_TYPE, type_uri
from fastapi_base.core.config import AppSettings, OpenApiSettings, Settings
from fastapi_base.core.security.scopes import Scope
from fastapi_base.main import create_app
from fastapi_base.schemas.problem import Problem
from tests.unit.api.rules import rules


@pytest.fixture(scope="module")
def app() -> FastAPI:
    """The application, which no test here changes."""
    return create_app(Settings(app=AppSettings(environment="test")))


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method} {path}", operation


def described_routes(app: FastAPI) -> Iterator[tuple[str, APIRoute]]:
    """The application's routes as in the description, without those that it leaves out."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.include_in_schema:
            path = re.sub(r":\w+}", "}", str(context.path))
            yield from ((f"{method.lower()} {path}", route) for method in route.methods or ())


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def schemas_in(node: Any) -> Iterator[dict[str, Any]]:
    """All schemas of the node, which is a schema or holds some; not the examples."""
    if isinstance(node, dict):
        yield node
        for key, value in node.items():
            if key not in ("example", "examples", "default", "const"):
                yield from schemas_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from schemas_in(value)


def test_every_route_is_described(app: FastAPI, document: dict[str, Any]) -> None:
    routes = dict(described_routes(app))
    assert {name for name, _ in operations(document)} == set(routes)
    assert len(routes) > 50


def test_operations_have_descriptions(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= tags, name


def test_operation_ids_are_short_unique_and_those_of_functions(
    app: FastAPI, document: dict[str, Any]
) -> None:
    ids = {name: operation["operationId"] for name, operation in operations(document)}
    assert len(ids) == len(set(ids.values()))
    for name, route in described_routes(app):
        assert ids[name] == route.endpoint.__name__
        assert re.fullmatch(r"[a-z]+(_[a-z]+){0,3}", ids[name]), ids[name]


def test_operations_that_return_several_objects_list_them(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        reply = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
        schema = reply.get("schema", {})
        several = schema.get("type") == "array" or schema.get("$ref", "").endswith("Page")
        assert several == operation["operationId"].startswith("list_"), name


def test_every_error_is_described_as_a_problem_with_examples(document: dict[str, Any]) -> None:
    examples = document["components"]["examples"]
    for name, operation in operations(document):
        for status, reply in operation["responses"].items():
            if status.startswith(("2", "3")):
                continue
            assert list(reply["content"]) == [MEDIA_TYPE], (name, status)
            content = reply["content"][MEDIA_TYPE]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert content["examples"], (name, status)
            for code, reference in content["examples"].items():
                assert reference == {"$ref": f"#/components/examples/{code}"}
                problem = Problem.model_validate(examples[code]["value"])
                assert (problem.type, problem.status) == (type_uri(code), int(status))


def test_errors_of_middleware_are_described(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        statuses = set(operation["responses"])
        assert "500" in statuses, name
        if "health" not in operation["tags"]:
            codes = {
                code
                for reply in operation["responses"].values()
                for code in reply.get("content", {}).get(MEDIA_TYPE, {}).get("examples", ())
            }
            expected = {"misdirected-request", "rate-limited", "overloaded", "deadline-exceeded"}
            if "requestBody" in operation:
                expected.add("too-many-at-once")
            if any("csrf-token" in way for way in operation["security"]):
                expected.add("cross-site-request")
            assert expected <= codes, name
        if operation["security"] and {} not in operation["security"]:
            assert "401" in statuses, name


def test_errors_that_tell_when_to_retry_name_the_header(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status in {"429", "503"} & set(operation["responses"]):
            assert "Retry-After" in operation["responses"][status]["headers"], (name, status)


def test_routes_with_a_body_document_its_errors(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if "requestBody" in operation:
            assert {"400", "408", "413", "415", "422"} <= set(operation["responses"]), name


def test_security_is_that_of_the_routes(app: FastAPI, document: dict[str, Any]) -> None:
    routes = dict(described_routes(app))
    for name, operation in operations(document):
        ways = [way for way in operation["security"] if way]
        if not rules(routes[name].dependant):
            # Public, or with credentials that are optional.
            assert not ways or {} in operation["security"], name
            continue
        assert {} not in operation["security"], name
        safe = name.startswith("get ")
        # The cookie replaces the token everywhere.
        (scopes,) = [way["password"] for way in ways if "password" in way]
        cookie = {"cookie": scopes} if safe else {"cookie": scopes, "csrf-token": []}
        assert cookie in ways, name
        # A key needs a scope, and is accepted where one is named.
        assert ({"api-key": scopes} in ways) == bool(scopes), name


def test_optional_credentials_are_declared(document: dict[str, Any]) -> None:
    paths = document["paths"]
    session: list[dict[str, list[str]]] = [{}, {"password": []}, {"cookie": [], "csrf-token": []}]
    assert paths["/api/v1/auth/verify-email/confirm"]["post"]["security"] == session
    # begin slice: email-change
    assert paths["/api/v1/auth/email-change/confirm"]["post"]["security"] == session
    # end slice: email-change
    assert paths["/health/ready"]["get"]["security"] == [{}, {"operator": []}]
    assert paths["/api/v1/auth/register"]["post"]["security"] == []


def test_scopes_and_schemes_are_declared(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    flow = schemes["password"]["flows"]["password"]
    assert flow["tokenUrl"] == "/api/v1/auth/login"
    assert set(flow["scopes"]) == {str(scope) for scope in Scope}
    ways = [way for _, operation in operations(document) for way in operation["security"]]
    assert {name for way in ways for name in way} == set(schemes)
    # Spectral cannot check those of other schemes than OAuth 2 (ops/ci/openapi/spectral.yaml).
    used = {scope for way in ways for scopes in way.values() for scope in scopes}
    assert used == set(flow["scopes"])


def test_api_keys_cannot_manage_api_keys(document: dict[str, Any]) -> None:
    ways = document["paths"]["/api/v1/api-keys"]["post"]["security"]
    assert ways == [{"password": []}, {"cookie": [], "csrf-token": []}]


def test_every_member_of_our_schemas_has_an_example(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        for member, described in schema.get("properties", {}).items():
            known = {"examples", "const", "enum", "$ref", "default"} & set(described)
            parts = [*described.get("anyOf", []), described.get("items", {})]
            nested = any("$ref" in part for part in parts)
            assert known or nested, f"{name}.{member}"


def test_all_references_resolve_and_all_components_are_used(document: dict[str, Any]) -> None:
    found = set(references(document))
    components = document["components"]
    assert found == {
        f"#/components/{kind}/{name}"
        for kind in components
        for name in components[kind]
        if kind != "securitySchemes"
    }


def test_components_have_names_without_artefacts(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        # Neither Page_ItemRead_ nor Body_login nor ItemRead-Input.
        assert re.fullmatch(r"([A-Z][a-z]+)+", name), name
        assert schema.get("title", name) == name
        # Titles such as "Created At" repeat the names of members.
        assert not [member for member in schema.get("properties", {}).values() if "title" in member]
    assert {"ItemPage", "ItemsSort"} <= set(document["components"]["schemas"])  # slice: items
    assert {"JobPage", "JobStatus", "JobsSort", "LoginForm"} <= set(
        document["components"]["schemas"]
    )


def test_choices_are_components_of_their_own(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        inline = [part for part in schemas_in(schema) if part is not schema and "enum" in part]
        assert not inline, name
    assert not [part for part in schemas_in(document["paths"]) if "enum" in part]


def test_parameters_can_be_sent_as_text(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            assert "anyOf" not in parameter["schema"], (name, parameter["name"])


def test_deployment_is_described_by_settings(settings: Settings) -> None:
    described = OpenApiSettings(
        servers=("https://api.example.com/shop/", "https://eu.example.com/shop"),
        contact_name="Support",
        contact_email="support@example.com",
        license_name="Apache 2.0",
        license_url="https://www.example.com/licence",
    )
    document = create_app(settings.model_copy(update={"openapi": described})).openapi()
    validate(document)
    assert [server["url"] for server in document["servers"]] == [
        "https://api.example.com/shop",
        "https://eu.example.com/shop",
    ]
    info = document["info"]
    assert info["contact"] == {"name": "Support", "email": "support@example.com"}
    assert info["license"] == {"name": "Apache 2.0", "url": "https://www.example.com/licence"}
    flow = document["components"]["securitySchemes"]["password"]["flows"]["password"]
    assert flow["tokenUrl"] == "https://api.example.com/shop/api/v1/auth/login"


def test_without_settings_the_server_is_the_host_of_the_description(
    document: dict[str, Any],
) -> None:
    validate(document)
    assert document["servers"] == [{"url": "/"}]
    assert not {"contact", "license"} & set(document["info"])
