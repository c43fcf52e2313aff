"""Feature flags."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Form, Path, Request, Response

from fastapi_base.api.console.operators import ActingRecentDep, OperatorDep
from fastapi_base.api.console.site import page, redirect
from fastapi_base.api.deps import OriginDep, ResourcesDep
from fastapi_base.core.errors import NotFound, WrongFlagValue
from fastapi_base.core.flags import FLAGS
from fastapi_base.models.flags.flag import NAME_LENGTH
from fastapi_base.schemas.flags.flag import OverrideWrite

router = APIRouter()
Name = Annotated[str, Path(max_length=NAME_LENGTH)]
_ACCOUNTS_MAX = 1000


@router.get("/flags")
async def list_flags(request: Request, operator: OperatorDep, resources: ResourcesDep) -> Response:
    """All flags as this process sees them."""
    return page(request, "flags.html", operator=operator, flags=resources.flags.read())


@router.get("/flags/{name}")
async def read_flag(
    request: Request, name: Name, operator: OperatorDep, resources: ResourcesDep
) -> Response:
    """A flag, with the form that overrides it."""
    _known(name)
    (flag,) = (one for one in resources.flags.read() if one.name == name)
    return page(request, "flag.html", operator=operator, flag=flag)


@router.post("/flags/{name}")
async def override_flag(
    request: Request,
    name: Name,
    operator: ActingRecentDep,
    resources: ResourcesDep,
    origin: OriginDep,
    percentage: Annotated[float, Form(ge=0, le=100)],
    value: Annotated[str, Form(max_length=1000)] = "",
    accounts: Annotated[str, Form(max_length=50_000)] = "",
) -> Response:
    """Override a flag for a share of the accounts and for those that are named."""
    _known(name)
    try:
        parsed = FLAGS[name].parse(value)
    except ValueError as error:
        raise WrongFlagValue(str(error)) from error
    given = OverrideWrite(value=parsed, percentage=percentage, user_ids=_ids(accounts))
    await resources.flags.override(name, given, actor=operator.user.id, origin=origin)
    return redirect(request, "/flags", done="override")


@router.post("/flags/{name}/reset")
async def reset_flag(
    request: Request,
    name: Name,
    operator: ActingRecentDep,
    resources: ResourcesDep,
    origin: OriginDep,
) -> Response:
    """Remove the override of a flag."""
    await resources.flags.reset(name, actor=operator.user.id, origin=origin)
    return redirect(request, "/flags", done="reset")


def _known(name: str) -> None:
    if name not in FLAGS:
        raise NotFound("The flag does not exist")


def _ids(text: str) -> list[uuid.UUID]:
    words = text.replace(",", " ").split()
    if len(words) > _ACCOUNTS_MAX:
        raise WrongFlagValue(f"At most {_ACCOUNTS_MAX} accounts can be named; use a percentage")
    try:
        return [uuid.UUID(word) for word in words]
    except ValueError:
        raise WrongFlagValue("Accounts must be ids, separated by spaces or lines") from None
