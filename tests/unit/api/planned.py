"""An application with every kind of route that plans serve, or leave to FastAPI."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import (
    Body,
    Depends,
    FastAPI,
    Form,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
)
from fastapi.routing import APIRouter
from opentelemetry.sdk.trace import TracerProvider
from pydantic import BaseModel
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse


class Thing(BaseModel):
    name: str
    size: int = 1


class Secretive(Thing):
    secret: str = "hidden"


@dataclass
class Filter:
    word: str = "none"
    most: Annotated[int, Query(le=5)] = 1

    @property
    def text(self) -> str:
        return f"{self.word} {self.most}"


calls: list[str] = []


def made_anew() -> int:
    calls.append("made")
    return len(calls)


async def counted() -> str:
    calls.append("counted")
    return "once"


async def again(value: Annotated[str, Depends(counted)]) -> str:
    return value


async def unit() -> AsyncIterator[str]:
    calls.append("begin")
    try:
        yield "unit"
    except ValueError:
        calls.append("roll back")
        raise
    calls.append("commit")


Unit = Annotated[str, Depends(unit, scope="function")]


async def refusing(request: Request) -> None:
    if "x-refuse" in request.headers:
        raise HTTPException(403, "no", headers={"X-Why": "so"})


router = APIRouter(prefix="/v1", dependencies=[Depends(refusing)])


@router.get("/things/{number}")
async def numbered(number: int, extra: Annotated[str | None, Header()] = None) -> dict[str, Any]:
    return {"number": number, "extra": extra}


@router.get("/things/latest")
async def hidden_by_numbered() -> str:
    return "never"


@router.get("/fixed")
async def fixed(chosen: Annotated[Filter, Depends()]) -> str:
    return chosen.text


@router.get("/{anything}")
async def anything(anything: str) -> str:
    return anything


@router.post("/things", status_code=201)
async def create(thing: Thing, response: Response) -> Thing:
    response.headers["Location"] = f"/v1/things/{thing.size}"
    return Secretive(name=thing.name, size=thing.size)


@router.post("/pairs")
async def pairs(one: Annotated[int, Body()], two: Annotated[int, Body()]) -> list[int]:
    return [one, two]


@router.put("/things/{number}", status_code=204)
async def replace(number: int) -> None:
    assert number


@router.get("/things/{number}/parts")
async def twice(
    one: Annotated[str, Depends(counted)], two: Annotated[str, Depends(again)], unit: Unit
) -> list[str]:
    calls.append("route")
    return [one, two, unit]


@router.delete("/things/{number}")
async def failing(number: int, unit: Unit) -> None:
    raise ValueError(unit)


@router.get("/a/b/c")
async def accepted(response: Response) -> dict[str, int]:
    response.status_code = 202
    return {"a": 1}


@router.get("/a/b/defaults")
async def defaults(
    made: Annotated[int, Query(default_factory=made_anew)],
    needed: str,
    many: Annotated[list[str] | None, Query(alias="m")] = None,
    listed: Annotated[list[str], Query()] = ["a"],  # noqa: B006
    checked: Annotated[int, Query(validate_default=True)] = "7",  # type: ignore[assignment]
    x_note: Annotated[str, Header()] = "none",
) -> list[Any]:
    listed.append("b")
    return [made, needed, many, listed, checked, x_note]


@router.get("/a/b/plain")
async def plain() -> Response:
    return PlainTextResponse("plain", headers={"x-own": "1"})


@router.get("/a/b/wrong")
async def wrong() -> Thing:
    return {"name": 1}  # type: ignore[return-value]


@router.get("/a/b/thread")
def thread() -> str:
    return "thread"


@router.post("/a/b/form")
async def form(word: Annotated[str, Form()]) -> str:
    return word


@router.get("/files/{path:path}")
async def files(path: str) -> str:
    return path


@router.get("/files/later")
async def hidden_by_files() -> str:
    return "never"


async def on_value_error(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"refused: {error}", 409)


def build(*middleware: Middleware, provider: TracerProvider | None = None) -> FastAPI:
    app = FastAPI(
        middleware=middleware,
        exception_handlers={ValueError: on_value_error},
        telemetry={
            "tracing": provider is not None,
            "tracer_provider": provider,
            "operation_spans": False,
        },
    )
    app.include_router(router)
    return app


JSON = {"content-type": "application/json"}
