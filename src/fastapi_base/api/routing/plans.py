"""A route as an ordered list of calls, compiled once from FastAPI's own analysis.

Some features have no plan: forms and files, streams, plain functions and classes (FastAPI runs them
in threads), background tasks, filters on responses. FastAPI serves those routes.
"""

from collections.abc import Iterator
from json import JSONDecodeError
from typing import Any, cast

from fastapi import routing
from fastapi._compat import ModelField, Undefined
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import Dependant, _get_cache_key
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from fastapi.params import Form
from fastapi.routing import APIRoute, RouteContext, _extract_endpoint_context
from fastapi.telemetry._api import _route_selected, _validation_failed
from fastapi.utils import is_body_allowed_for_status_code
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import request_response
from starlette.types import Receive, Scope, Send

from fastapi_base.api.routing.plan_steps import NoPlan, Step

__all__ = ["NoPlan", "Plan", "plan"]

_JSON = b"application/json"


def plan(context: RouteContext) -> "Plan | None":
    """A route's plan; None if the route uses unsupported features."""
    try:
        return Plan(context)
    except NoPlan:
        return None


class Plan:
    """How one route is served."""

    def __init__(self, context: RouteContext) -> None:
        """Raises NoPlan."""
        if (
            # A custom route class (route_class) may do anything around the route.
            type(context.original_route) is not APIRoute
            or context.is_sse_stream
            or context.is_json_stream
            or context.max_body_size is not None
            or not isinstance(context.response_class, DefaultPlaceholder)
            or context.response_model_include is not None
            or context.response_model_exclude is not None
            or not context.response_model_by_alias
            or context.response_model_exclude_unset
            or context.response_model_exclude_defaults
            or context.response_model_exclude_none
        ):
            raise NoPlan
        self.context = context
        # If dependencies are overridden, FastAPI serves the route.
        self._provider: Any = context.dependency_overrides_provider
        self._body: ModelField | None = context.body_field
        if self._body and isinstance(self._body.field_info, Form):
            raise NoPlan
        self._embed: bool = context._embed_body_fields
        self._model: ModelField | None = context.response_field
        self._status: int | None = context.status_code
        self._response_class: type[Response] = context.response_class.value
        self._steps: list[Step] = []
        # For each step, the steps it depends on: FastAPI reports errors in the order of this tree.
        self._needs: list[list[int]] = []
        self._places: dict[Any, int] = {}
        self._read_from: list[tuple[Dependant, Any, list[Dependant]]] = []
        self._route = cast("Any", context._effective_route)
        self._app: Any = self._route.app
        self._add(context.dependant, is_route=True)
        self._has_response = any(step.response for step in self._steps)
        # Both call the exception handlers with this request, also while the response is sent.
        # FastAPI's version also provides the exit stacks of generators.
        serves = (
            routing.request_response
            if any(step.is_context for step in self._steps)
            else request_response
        )
        self._serves = serves(self.reply)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        _route_selected(scope=scope, path=self.context.path_format)
        await self._serves(scope, receive, send)

    def serves(self, scope: Scope) -> bool:
        """Whether the plan answers this request as FastAPI would.

        It does not if dependencies are overridden, if FastAPI's body size limit is set, if the body
        is not JSON, or if the route's dependencies or its app changed.
        """
        if (
            (self._provider is not None and self._provider.dependency_overrides)
            or MAX_BODY_SIZE_SCOPE_KEY in scope
            or self._route.app is not self._app
        ):
            return False
        for dependant, call, dependencies in self._read_from:
            if dependant.call is not call or dependant.dependencies != dependencies:
                return False
        return self._body is None or _media_type(scope) == _JSON

    async def reply(self, request: Request) -> Response:
        """Run all calls. Generators exit, and transactions commit, before the response is sent."""
        body = await self._read(request) if self._body else Undefined
        # The headers and status that dependencies set.
        said = _silent() if self._has_response else None
        values: list[Any] = []
        errors: dict[int, list[Any]] = {}
        for step in self._steps:
            values.append(await step.run(request, values, said, body, errors))
        if errors:
            reported = [*self._reported(len(self._steps) - 1, errors)]
            raise self._invalid(request, reported, None if body is Undefined else body)
        result = values[-1]
        if isinstance(result, Response):
            return result
        status = (said and said.status_code) or self._status or 200
        if self._model is not None:
            valid, wrong = self._model.validate(result, {}, loc=("response",))
            if wrong:
                raise ResponseValidationError(
                    wrong, body=result, endpoint_ctx=self._endpoint(request)
                )
            reply = Response(
                self._model.serialize_json(valid), status, media_type="application/json"
            )
        else:
            reply = self._response_class(jsonable_encoder(result), status)
        if not is_body_allowed_for_status_code(status):
            reply.body = b""
        if said:
            reply.raw_headers.extend(said.raw_headers)
        return reply

    async def _read(self, request: Request) -> Any:
        """The body, with errors reported as FastAPI does."""
        try:
            return await request.json() if await request.body() else Undefined
        except JSONDecodeError as error:
            problem = {
                "type": "json_invalid",
                "loc": ("body", error.pos),
                "msg": "JSON decode error",
                "input": {},
                "ctx": {"error": error.msg},
            }
            raise self._invalid(request, [problem], error.doc) from error
        except HTTPException:
            raise
        except Exception as error:
            raise HTTPException(400, "There was an error parsing the body") from error

    def _invalid(self, request: Request, errors: list[Any], body: Any) -> RequestValidationError:
        error = RequestValidationError(errors, body=body, endpoint_ctx=self._endpoint(request))
        _validation_failed(error)
        return error

    def _endpoint(self, request: Request) -> Any:
        """The location of the route, for error logs."""
        dependant = self._read_from[-1][0]
        found = _extract_endpoint_context(dependant.call)
        return {**found, "path": f"{request.method} {dependant.path}"}

    def _reported(self, place: int, errors: dict[int, list[Any]]) -> Iterator[Any]:
        """The errors of a step and its dependencies; a shared dependency reports them twice."""
        for needed in self._needs[place]:
            yield from self._reported(needed, errors)
        yield from errors.get(place, ())

    def _add(self, dependant: Dependant, *, is_route: bool = False) -> int:
        """Add the dependencies of this call, then the call. Returns its index in the steps."""
        if not dependant.use_cache:
            # Without the cache, FastAPI calls the dependency again for each dependent.
            raise NoPlan
        needed = [(sub.name, self._add(sub)) for sub in dependant.dependencies]
        key = None if is_route else _get_cache_key(dependant=dependant)
        if key in self._places:
            return self._places[key]
        self._read_from.append((dependant, dependant.call, [*dependant.dependencies]))
        place = len(self._steps)
        self._steps.append(Step(place, dependant, needed, embed=self._embed))
        self._needs.append([at for _, at in needed])
        self._places[key] = place
        return place


def _media_type(scope: Scope) -> bytes:
    """The media type of the first Content-Type, which is the one that FastAPI reads."""
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_type: bytes = value.partition(b";")[0].rstrip()
            return media_type
    return b""


def _silent() -> Response:
    """A response to which dependencies add headers, with none of its own."""
    # A response with this status has no Content-Length.
    said = Response(status_code=204)
    said.status_code = None  # type: ignore[assignment]
    return said
