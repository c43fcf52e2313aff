"""The templates of routes, as labels of metrics."""

from fastapi.routing import iter_route_contexts
from starlette.types import Scope

NO_ROUTE = "none"


class Templates:
    """Finds the complete template of a routed request, as in `/api/v1/jobs/{job_id}`."""

    def __init__(self) -> None:
        # By id, because routes have no hash. Each route is kept with its template: the id of a
        # removed one must not belong to another.
        self._known: dict[int, tuple[object, str]] = {}

    def __call__(self, scope: Scope) -> str:
        """The template; `none` for a request that no route matched."""
        route = scope.get("route")
        if route is None:
            return NO_ROUTE
        if id(route) not in self._known:
            # Routes may be added at any time.
            for found in iter_route_contexts(scope["app"].routes):
                if found.path:
                    known = found.original_route
                    self._known[id(known)] = (known, found.path)
            self._known.setdefault(id(route), (route, NO_ROUTE))
        return self._known[id(route)][1]
