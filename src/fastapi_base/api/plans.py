"""A route as a list of calls in order, made once from FastAPI's own reading of it.

What a plan does not cover has none: forms and files, streams, plain functions (FastAPI sends them
to threads), background tasks, filters on replies. FastAPI serves those.
"""

import inspect
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from json import JSONDecodeError
from typing import Any

from fastapi._compat import ModelField, Undefined
from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import (
    Dependant,
    _get_cache_key,
    _is_async_gen_callable,
    _is_coroutine_callable,
)
from fastapi.dependencies.utils import (
    _get_param_aliases,
    _get_param_model,
    request_body_to_args,
    request_params_to_args,
)
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from fastapi.params import Form
from fastapi.routing import RouteContext
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

_JSON = b"application/json"
_BODILESS = frozenset({204, 304})
_FAILED = object()


class NoPlan(Exception):
    """The route does something that plans do not cover."""


class Plan:
    """How one route is served."""

    def __init__(self, context: RouteContext) -> None:
        """Raises NoPlan."""
        if (
            context.is_sse_stream
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
        self._body: ModelField | None = context.body_field
        if self._body and isinstance(self._body.field_info, Form):
            raise NoPlan
        self._embed: bool = context._embed_body_fields
        self._model: ModelField | None = context.response_field
        self._status: int | None = context.status_code
        self._response_class: type[Response] = context.response_class.value
        self._steps: list[_Step] = []
        self._places: dict[Any, int] = {}
        self._add(context.dependant, is_route=True)
        self._has_contexts = any(step.is_context for step in self._steps)
        self._has_response = any(step.response for step in self._steps)

    def reads(self, scope: Scope) -> bool:
        """Whether the body, if the route has one, is of the kind that a plan reads."""
        if self._body is None:
            return True
        return any(
            name == b"content-type" and value.partition(b";")[0].rstrip() == _JSON
            for name, value in scope["headers"]
        )

    async def reply(self, request: Request) -> Response:
        """Run all calls. Contexts are left, so transactions committed, before this returns."""
        if self._has_contexts:
            async with AsyncExitStack() as stack:
                return await self._reply(request, stack)
        return await self._reply(request, None)

    async def _reply(self, request: Request, stack: AsyncExitStack | None) -> Response:
        body = await _read(request) if self._body else Undefined
        # What dependencies say of the reply: headers, a status.
        said = _silent() if self._has_response else None
        values: list[Any] = []
        errors: list[Any] = []
        for step in self._steps:
            values.append(await step.run(request, values, said, body, stack, errors))
        if errors:
            raise RequestValidationError(errors)
        result = values[-1]
        if isinstance(result, Response):
            return result
        status = (said and said.status_code) or self._status or 200
        if self._model is not None:
            valid, errors = self._model.validate(result, {}, loc=("response",))
            if errors:
                raise ResponseValidationError(errors, body=result)
            reply = Response(
                self._model.serialize_json(valid), status, media_type="application/json"
            )
        else:
            reply = self._response_class(jsonable_encoder(result), status)
        if status in _BODILESS:
            reply.body = b""
        if said:
            reply.raw_headers.extend(said.raw_headers)
        return reply

    def _add(self, dependant: Dependant, *, is_route: bool = False) -> int:
        """Add what this one needs, and itself. Its place among the steps."""
        needed = [(sub.name, self._add(sub)) for sub in dependant.dependencies]
        key = None if is_route else _get_cache_key(dependant=dependant)
        if key in self._places and dependant.use_cache:
            return self._places[key]
        self._steps.append(_Step(dependant, needed, embed=self._embed))
        place = len(self._steps) - 1
        self._places.setdefault(key, place)
        return place


class _Step:
    """One call: of a dependency, or of the route itself."""

    def __init__(
        self, dependant: Dependant, needed: list[tuple[str | None, int]], *, embed: bool
    ) -> None:
        assert dependant.call
        self.is_context = _is_async_gen_callable(dependant.call)
        # Making an object waits for nothing, so it needs no thread.
        self._is_class = inspect.isclass(dependant.call)
        if (
            not (self.is_context or self._is_class or _is_coroutine_callable(dependant.call))
            or (self.is_context and dependant.scope != "function")
            or dependant.concurrency is not None
            or dependant.background_tasks_param_name
            or dependant.websocket_param_name
            or dependant.security_scopes_param_name
        ):
            raise NoPlan
        self._call: Callable[..., Any] = dependant.call
        if self.is_context:
            self._call = asynccontextmanager(dependant.call)
        self._needed = needed
        self._request = dependant.request_param_name or dependant.http_connection_param_name
        self.response = dependant.response_param_name
        self._body = dependant.body_params
        self._embed = embed
        # Where each kind of parameter is found in a request.
        places: list[tuple[str, Sequence[ModelField]]] = [
            ("path_params", dependant.path_params),
            ("query_params", dependant.query_params),
            ("headers", dependant.header_params),
            ("cookies", dependant.cookie_params),
        ]
        self._places = [(place, _Parameters(fields)) for place, fields in places if fields]

    async def run(
        self,
        request: Request,
        values: list[Any],
        said: Response | None,
        body: Any,
        stack: AsyncExitStack | None,
        errors: list[Any],
    ) -> Any:
        """The value. Where parameters are not valid, it is noted in `errors` and nothing called."""
        arguments: dict[str, Any] = {}
        good = True
        for name, place in self._needed:
            value = values[place]
            if value is _FAILED:
                good = False
            elif name is not None:
                arguments[name] = value
        if self._places or self._body:
            good = await self._parameters(request, body, arguments, errors) and good
        if not good:
            return _FAILED
        if self._request:
            arguments[self._request] = request
        if self.response:
            arguments[self.response] = said
        if self.is_context:
            assert stack
            return await stack.enter_async_context(self._call(**arguments))
        if self._is_class:
            return self._call(**arguments)
        return await self._call(**arguments)

    async def _parameters(
        self, request: Request, body: Any, arguments: dict[str, Any], errors: list[Any]
    ) -> bool:
        """Add parameters to the arguments, what is wrong to the errors. Whether they are good."""
        found = [
            parameters.read(getattr(request, place), arguments)
            for place, parameters in self._places
        ]
        if self._body:
            given, wrong = await request_body_to_args(
                self._body, received_body=body, embed_body_fields=self._embed
            )
            arguments.update(given)
            found.append(wrong)
        for wrong in found:
            errors += wrong
        return not any(found)


class _Parameters:
    """Parameters that are found in one place. FastAPI reads those that were sent."""

    def __init__(self, fields: Sequence[ModelField]) -> None:
        # Each with the names that it may be sent by, where it may be left out; then its default.
        self._fields = [
            (field, _names(field), field.default) if _may_be_absent(field) else (field, None, None)
            for field in fields
        ]

    def read(self, received: Any, arguments: dict[str, Any]) -> list[Any]:
        """Add the values to the arguments. What is wrong with them."""
        sent = []
        for field, names, default in self._fields:
            if names is None or any(name in received for name in names):
                sent.append(field)
            else:
                arguments[field.name] = default
        if not sent:
            return []
        given, wrong = request_params_to_args(sent, received)
        arguments.update(given)
        return wrong


def _names(field: ModelField) -> list[str]:
    return [request_name for _, request_name in _get_param_aliases(field)]


def _may_be_absent(field: ModelField) -> bool:
    """Whether its default is a value that needs no copy, no call and no validation."""
    return (
        not field.field_info.is_required()
        and not field.field_info.validate_default
        and field.field_info.default_factory is None
        and _get_param_model(field) is None
        and isinstance(field.default, str | int | float | None)
    )


def _silent() -> Response:
    """A reply for dependencies to write headers into, without any of its own."""
    # A reply of this status gets no length.
    said = Response(status_code=204)
    said.status_code = 0
    return said


async def _read(request: Request) -> Any:
    """The body, with errors as FastAPI tells them."""
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
        raise RequestValidationError([problem]) from error
    except HTTPException:
        raise
    except Exception as error:
        raise HTTPException(400, "There was an error parsing the body") from error
