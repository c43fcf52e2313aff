"""The calls of a plan: each dependency of a route, then the route itself."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from typing import Any, cast

from fastapi._compat import ModelField
from fastapi.dependencies.models import (
    Dependant,
    _is_async_gen_callable,
    _is_coroutine_callable,
)
from fastapi.dependencies.utils import (
    _get_param_aliases,
    _get_param_model,
    _solve_generator,
    request_body_to_args,
    request_params_to_args,
)
from starlette.requests import Request
from starlette.responses import Response

_FAILED = object()


class NoPlan(Exception):
    """The route uses a feature that plans do not support."""


class Step:
    """One call: a dependency, or the route itself."""

    def __init__(
        self, place: int, dependant: Dependant, needed: list[tuple[str | None, int]], *, embed: bool
    ) -> None:
        assert dependant.call
        self._place = place
        self._dependant = dependant
        self.is_context = _is_async_gen_callable(dependant.call)
        self._is_class = _only_holds(dependant.call)
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
        self._needed = needed
        self._request = dependant.request_param_name or dependant.http_connection_param_name
        self.response = dependant.response_param_name
        self._body = dependant.body_params
        self._embed = embed
        # Where a request holds each kind of parameter.
        places: list[tuple[str, Sequence[ModelField]]] = [
            ("path_params", dependant.path_params),
            ("query_params", dependant.query_params),
            ("headers", dependant.header_params),
            ("cookies", dependant.cookie_params),
        ]
        self._places = [(place, _Parameters(found)) for place, found in places if found]

    async def run(
        self,
        request: Request,
        values: list[Any],
        said: Response | None,
        body: Any,
        errors: dict[int, list[Any]],
    ) -> Any:
        """The result. Invalid parameters are added to `errors`, and nothing is called."""
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
            # As in FastAPI: code after `yield` is shielded from cancellation.
            return await _solve_generator(
                request=request,
                dependant=self._dependant,
                stack=request.scope["fastapi_function_astack"],
                sub_values=arguments,
            )
        if self._is_class:
            return self._call(**arguments)
        return await self._call(**arguments)

    async def _parameters(
        self,
        request: Request,
        body: Any,
        arguments: dict[str, Any],
        errors: dict[int, list[Any]],
    ) -> bool:
        """Add parameters to `arguments` and problems to `errors`. Returns whether all are valid."""
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
        if not any(found):
            return True
        errors[self._place] = [error for wrong in found for error in wrong]
        return False


class _Parameters:
    """The parameters of one kind. FastAPI validates those that were sent."""

    def __init__(self, read: Sequence[ModelField]) -> None:
        # Each optional parameter has its possible names and its default.
        self._fields = [
            (field, _names(field), field.default) if _may_be_absent(field) else (field, None, None)
            for field in read
        ]

    def read(self, received: Any, arguments: dict[str, Any]) -> list[Any]:
        """Add the values to `arguments`. Returns the validation errors."""
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
    """Whether its default can be used without a copy, a call or validation."""
    return (
        not field.field_info.is_required()
        and not field.field_info.validate_default
        and field.field_info.default_factory is None
        and _get_param_model(field) is None
        and isinstance(field.default, str | int | float | None)
    )


def _only_holds(call: Callable[..., Any]) -> bool:
    """Whether it is a plain dataclass that only stores its arguments, so it needs no thread.

    The constructor of any other class may read a file or call a server.
    """
    if not inspect.isclass(call) or "__dataclass_fields__" not in vars(call):
        return False
    return (
        vars(call)["__dataclass_params__"].init
        and not hasattr(call, "__post_init__")
        and call.__new__ is object.__new__
        and all(field.default_factory is MISSING for field in fields(cast("Any", call)))
    )
