"""The OpenAPI description is complete."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from fastapi_base.api.errors import MEDIA_TYPE
from fastapi_base.core.security.scopes import Scope
from fastapi_base.schemas.problem import Problem


@pytest.fixture
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method} {path}", operation


def test_routes_match_the_contract(document: dict[str, Any]) -> None:
    assert {name for name, _ in operations(document)} == {
        "post /api/v1/auth/register",
        "post /api/v1/auth/login",
        "post /api/v1/auth/login/second-factor",
        "post /api/v1/auth/refresh",
        "post /api/v1/auth/logout",
        "get /api/v1/auth/csrf",
        "get /api/v1/auth/totp",
        "post /api/v1/auth/totp",
        "get /api/v1/auth/oidc",
        "post /api/v1/auth/oidc/{provider}/begin",
        "post /api/v1/auth/oidc/{provider}/finish",
        "post /api/v1/auth/oidc/{provider}/link/begin",
        "post /api/v1/auth/oidc/{provider}/link/finish",
        "get /api/v1/auth/identities",
        "delete /api/v1/auth/identities/{identity_id}",
        "post /api/v1/auth/passkey-options",
        "post /api/v1/auth/passkeys",
        "get /api/v1/auth/passkeys",
        "patch /api/v1/auth/passkeys/{passkey_id}",
        "delete /api/v1/auth/passkeys/{passkey_id}",
        "post /api/v1/auth/login/passkey/options",
        "post /api/v1/auth/login/passkey",
        "post /api/v1/auth/totp/confirm",
        "post /api/v1/auth/totp/recovery-codes",
        "post /api/v1/auth/totp/disable",
        "post /api/v1/auth/verify-email",
        "post /api/v1/auth/verify-email/confirm",
        "post /api/v1/auth/password-reset",
        "post /api/v1/auth/password-reset/confirm",
        "post /api/v1/auth/email-change/confirm",
        "post /api/v1/users/me/email-change",
        "get /api/v1/users/me/email-change",
        "delete /api/v1/users/me/email-change",
        "post /api/v1/users/me/deactivation",
        "post /api/v1/users/me/deletion",
        "post /api/v1/users/me/exports",
        "get /api/v1/users/me/exports/{export_id}",
        "post /api/v1/invitations",
        "get /api/v1/invitations",
        "delete /api/v1/invitations/{invitation_id}",
        "get /api/v1/sessions",
        "delete /api/v1/sessions",
        "delete /api/v1/sessions/{session_id}",
        "get /api/v1/users/me",
        "patch /api/v1/users/me",
        "put /api/v1/users/me/password",
        "get /api/v1/users",
        "post /api/v1/users",
        "get /api/v1/users/{user_id}",
        "patch /api/v1/users/{user_id}",
        "delete /api/v1/users/{user_id}",
        "post /api/v1/users/{user_id}/deactivate",
        "post /api/v1/users/{user_id}/activate",
        "delete /api/v1/users/{user_id}/sessions",
        "get /api/v1/audit-events",
        "get /api/v1/admin/statistics",
        "get /api/v1/api-keys",
        "post /api/v1/api-keys",
        "post /api/v1/api-keys/{key_id}/rotate",
        "delete /api/v1/api-keys/{key_id}",
        "post /api/v1/jobs/word-count",
        "get /api/v1/jobs",
        "get /api/v1/jobs/{job_id}",
        "get /api/v1/jobs/{job_id}/events",
        "post /api/v1/jobs/{job_id}/cancel",
        "post /api/v1/jobs/{job_id}/retry",
        "get /api/v1/feature-flags",
        "put /api/v1/feature-flags/{name}",
        "delete /api/v1/feature-flags/{name}",
        "get /.well-known/jwks.json",
        "get /api/v1/items",  # slice: items
        "post /api/v1/items",  # slice: items
        "post /api/v1/items/bulk",  # slice: items
        "get /api/v1/items/export",  # slice: items
        "post /api/v1/items/imports",  # slice: items
        "get /api/v1/items/{item_id}",  # slice: items
        "patch /api/v1/items/{item_id}",  # slice: items
        "delete /api/v1/items/{item_id}",  # slice: items
        "post /api/v1/items/{item_id}/restore",  # slice: items
        "get /health/live",
        "get /health/ready",
        "get /health/startup",
    }


def test_operations_have_descriptions(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert operation["summary"], name
        assert operation["description"], name
        assert set(operation["tags"]) <= tags, name


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]
    assert len(ids) == len(set(ids))


def test_every_error_is_described_as_a_problem_with_examples(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status, reply in operation["responses"].items():
            if status.startswith(("2", "3")):
                continue
            assert list(reply["content"]) == [MEDIA_TYPE], (name, status)
            content = reply["content"][MEDIA_TYPE]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
            for example in content["examples"].values():
                assert Problem.model_validate(example["value"]).status == int(status)


def test_routes_with_a_body_document_its_errors(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if "requestBody" in operation:
            assert {"400", "413", "422"} <= set(operation["responses"]), name


def test_protected_routes_declare_their_security(document: dict[str, Any]) -> None:
    open_to_all = {name for name, operation in operations(document) if "security" not in operation}
    assert open_to_all == {
        "post /api/v1/auth/register",
        "post /api/v1/auth/login",
        "post /api/v1/auth/login/second-factor",
        "post /api/v1/auth/login/passkey/options",
        "post /api/v1/auth/login/passkey",
        "get /api/v1/auth/oidc",
        "post /api/v1/auth/oidc/{provider}/begin",
        "post /api/v1/auth/oidc/{provider}/finish",
        "post /api/v1/auth/refresh",
        "post /api/v1/auth/verify-email",
        "post /api/v1/auth/verify-email/confirm",
        "post /api/v1/auth/password-reset",
        "post /api/v1/auth/password-reset/confirm",
        "get /.well-known/jwks.json",
        "post /api/v1/auth/email-change/confirm",
        "get /health/live",
        "get /health/ready",
        "get /health/startup",
    }
    flows = document["components"]["securitySchemes"]["password"]["flows"]
    assert flows["password"]["tokenUrl"] == "/api/v1/auth/login"
    assert set(flows["password"]["scopes"]) == {str(scope) for scope in Scope}


def test_scopes_are_declared_for_tokens_and_api_keys(document: dict[str, Any]) -> None:
    ways = document["paths"]["/api/v1/users"]["get"]["security"]
    assert ways == [{"password": ["users:read"]}, {"api-key": ["users:read"]}]
    # An API key cannot manage API keys.
    ways = document["paths"]["/api/v1/api-keys"]["post"]["security"]
    assert ways == [{"password": []}, {"cookie": []}]


def test_every_member_of_our_schemas_has_an_example(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        if name.startswith("Body_"):  # the OAuth2 form, which FastAPI describes
            continue
        for member, described in schema.get("properties", {}).items():
            known = {"examples", "const", "enum", "$ref", "default"} & set(described)
            parts = [*described.get("anyOf", []), described.get("items", {})]
            nested = any("$ref" in part for part in parts)
            assert known or nested, f"{name}.{member}"


def test_all_references_resolve(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield node["$ref"]
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)

    for reference in walk(document):
        assert reference.removeprefix("#/components/schemas/") in schemas
