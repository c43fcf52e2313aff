"""Commands about feature flags."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from pydantic import ValidationError

from fastapi_base.cli.base import (
    Json,
    account_id,
    answer,
    fail,
    fields,
    settings_or_exit,
    table,
    with_database,
)
from fastapi_base.core.errors import NotFound
from fastapi_base.core.flags import FLAGS, FlagValue, parse_defaults
from fastapi_base.core.messaging.redis import create_redis
from fastapi_base.core.security.caller import Origin
from fastapi_base.db.session import Database
from fastapi_base.schemas.flags.flag import FlagRead, OverrideWrite
from fastapi_base.services.flags.flags import AnyFlag, Flags
from fastapi_base.services.identity import users

flags = typer.Typer(help="List feature flags and override them at run time.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Flag name, as shown by `list`.")]

_SWITCHES = {"on": "true", "off": "false"}


@flags.command("list")
def list_flags(as_json: Json = False) -> None:
    """List all flags as tab-separated columns.

    The JSON document is that of `GET /api/v1/feature-flags`.
    """
    found = _with_flags(_read)
    rows = (
        (flag.name, _value(flag.default), *_overridden(flag.override), flag.description)
        for flag in found
    )
    heads = ("name", "default", "override", "percentage", "accounts", "description")
    answer(as_json, found, table(heads, rows))


@flags.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show a flag and the accounts of its override."""
    _known(name)
    (found,) = (flag for flag in _with_flags(_read) if flag.name == name)
    answer(as_json, found, _text(found))


@flags.command("set")
def override(
    name: Name,
    value: Annotated[
        str, typer.Argument(metavar="VALUE", help="on or off, or a value of the flag's type.")
    ],
    percentage: Annotated[
        float, typer.Option(min=0, max=100, help="Share of the accounts that get the value.")
    ] = 100,
    account: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ACCOUNT",
            help="E-mail address or id of an account that always gets the value; repeatable.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Override a flag in every process within a second. Replaces an earlier override.

    Below 100 %, callers without an account keep the default. For some accounts only, use
    `--percentage 0` with `--account`.
    """
    flag = _known(name)
    try:
        parsed = flag.parse(
            _SWITCHES.get(value, value) if isinstance(flag.default, bool) else value
        )
    except ValueError as error:
        fail(f"VALUE: {error}")

    async def write(flags: Flags, database: Database) -> FlagRead:
        async with database.read() as connection:
            ids = [await account_id(connection, one) for one in account or ()]
            for one in ids:
                try:
                    await users.get(connection, one)
                except NotFound:
                    raise NotFound(f"no account has the id {one}") from None
        given = OverrideWrite(value=parsed, percentage=percentage, user_ids=ids)
        return await flags.override(name, given, actor=None, origin=Origin())

    try:
        changed = _with_flags(write, "--account")
    except ValidationError as error:
        fail(f"The override is invalid: {error.errors()[0]['msg']}")
    answer(as_json, changed, _text(changed))


@flags.command()
def reset(name: Name, as_json: Json = False) -> None:
    """Remove the override of a flag in every process within a second."""
    _known(name)

    async def remove(flags: Flags, database: Database) -> FlagRead:
        await flags.reset(name, actor=None, origin=Origin())
        (found,) = (flag for flag in await _read(flags, database) if flag.name == name)
        return found

    changed = _with_flags(remove)
    answer(as_json, changed, _text(changed))


def _with_flags[T](work: Callable[[Flags, Database], Awaitable[T]], about: object = None) -> T:
    settings = settings_or_exit()

    async def go(database: Database) -> T:
        redis = create_redis(settings.redis, settings.tls)
        try:
            defaults = parse_defaults(settings.flags.flags)
            return await work(Flags(database, redis, defaults=defaults), database)
        finally:
            await redis.aclose()

    return with_database(go, about, settings=settings)


async def _read(flags: Flags, database: Database) -> list[FlagRead]:
    await flags.read_from(database)
    return flags.read()


def _known(name: str) -> AnyFlag:
    if name not in FLAGS:
        fail(f"NAME: the flag {name} does not exist. Flags: {', '.join(sorted(FLAGS))}")
    return FLAGS[name]


def _overridden(override: OverrideWrite | None) -> tuple[object, ...]:
    if override is None:
        return None, None, None
    return _value(override.value), f"{override.percentage:g}", len(override.user_ids)


def _text(flag: FlagRead) -> str:
    value, percentage, _ = _overridden(flag.override)
    return fields(
        {
            "name": flag.name,
            "description": flag.description,
            "default": _value(flag.default),
            "override": "none" if flag.override is None else value,
            "percentage": percentage,
            "accounts": flag.override and flag.override.user_ids,
        }
    )


def _value(value: FlagValue) -> FlagValue:
    return ("on" if value else "off") if isinstance(value, bool) else value
