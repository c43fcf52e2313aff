"""A transport that fails or answers by itself, as a network and a busy server do."""

from collections.abc import Iterator

import httpx2

type Fault = httpx2.Response | httpx2.TransportError | None


class Faulty(httpx2.AsyncBaseTransport):
    """Passes requests on. A fault replaces the answer to one, before or after it took effect."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner
        self.before: list[Fault] = []
        self.after: list[Fault] = []
        self.seen: list[httpx2.Request] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        self.seen.append(request)
        if self.before and (fault := self.before.pop(0)) is not None:
            return _applied(fault)
        response = await self._inner.handle_async_request(request)
        if self.after and (fault := self.after.pop(0)) is not None:
            await response.aclose()
            return _applied(fault)
        return response


class Cutting(httpx2.BaseTransport):
    """Cuts each of the first streams of events after one event."""

    def __init__(self, times: int) -> None:
        self._inner = httpx2.HTTPTransport()
        self._times = times
        self.resumed: list[str | None] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Answer one request."""
        response = self._inner.handle_request(request)
        if not request.url.path.endswith("/events") or response.status_code != 200:
            return response
        self.resumed.append(request.headers.get("last-event-id"))
        if len(self.resumed) > self._times:
            return response
        return httpx2.Response(200, headers=response.headers, stream=_Cut(response))

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class _Cut(httpx2.SyncByteStream):
    def __init__(self, response: httpx2.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._response.stream:  # type: ignore[union-attr]
            yield chunk
            if b"data:" in chunk:
                raise httpx2.ReadError("cut")

    def close(self) -> None:
        self._response.close()


def _applied(fault: httpx2.Response | httpx2.TransportError) -> httpx2.Response:
    if isinstance(fault, Exception):
        raise fault
    return fault


def problem(status: int, code: str, **headers: str) -> httpx2.Response:
    """An answer of the API."""
    body = {"type": f"urn:fastapi-base:{code}", "title": code, "status": status}
    given = {"content-type": "application/problem+json", **headers}
    return httpx2.Response(status, json=body, headers=given)
