"""A peer: the same service in the style of tutorials, without optimisation.

FastAPI on SQLAlchemy's ORM: a session per request, the caller loaded as an entity, one Starlette
middleware class that logs. No limits, no metrics, no revocable sessions.
"""

import logging
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel, ConfigDict
from sqlalchemy import DateTime, FetchedValue, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint

log = logging.getLogger("tutorial")
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
_engine = create_async_engine(
    os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://"),
    pool_size=10,
    max_overflow=0,
)
_sessions = async_sessionmaker(_engine, expire_on_commit=False)
_bearer = OAuth2PasswordBearer("/api/v1/auth/login")


class Base(DeclarativeBase):
    """The base class of all tables."""

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), FetchedValue())
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), FetchedValue())


class User(Base):
    """An account."""

    __tablename__ = "users"
    email: Mapped[str]
    is_active: Mapped[bool]
    is_superuser: Mapped[bool]


class Item(Base):
    """Something with a title."""

    __tablename__ = "items"
    owner_id: Mapped[uuid.UUID]
    title: Mapped[str]
    description: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default=FetchedValue())
    deleted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class UserOut(BaseModel):
    """An account in a reply."""

    model_config = ConfigDict(from_attributes=True)
    id: uuid.UUID
    email: str
    is_active: bool
    is_superuser: bool
    created_at: datetime
    updated_at: datetime


class ItemIn(BaseModel):
    """A new item."""

    title: str
    description: str | None = None


class ItemOut(ItemIn):
    """An item in a reply."""

    model_config = ConfigDict(from_attributes=True)
    id: uuid.UUID
    version: int
    created_at: datetime
    updated_at: datetime


class ItemsOut(BaseModel):
    """Some items in a reply."""

    items: list[ItemOut]


class AccessLog(BaseHTTPMiddleware):
    """Logs a line per request."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Called for each request."""
        start = time.perf_counter()
        reply = await call_next(request)
        milliseconds = (time.perf_counter() - start) * 1000
        log.info("%s %s %d %.1f", request.method, request.url.path, reply.status_code, milliseconds)
        return reply


async def _session() -> AsyncIterator[AsyncSession]:
    async with _sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(_session)]


async def _caller(session: Session, token: Annotated[str, Depends(_bearer)]) -> User:
    claims = jwt.decode(
        token,
        os.environ["AUTH_JWT_SECRET"],
        algorithms=["HS256"],
        audience="fastapi-base-api",
        issuer="fastapi-base",
    )
    user = await session.get(User, uuid.UUID(claims["sub"]))
    if user is None or not user.is_active:
        raise HTTPException(401)
    return user


Caller = Annotated[User, Depends(_caller)]
app = FastAPI()
app.add_middleware(AccessLog)


@app.get("/health/live")
async def live() -> dict[str, str]:
    """Liveness."""
    return {"status": "ok"}


@app.get("/api/v1/users/me")
async def me(caller: Caller) -> UserOut:
    """The caller's account."""
    return UserOut.model_validate(caller)


@app.get("/api/v1/items")
async def items(caller: Caller, session: Session, limit: int = 50) -> ItemsOut:
    """The caller's newest items."""
    statement = (
        select(Item)
        .where(Item.owner_id == caller.id, Item.deleted_at.is_(None))
        .order_by(Item.created_at.desc(), Item.id.desc())
        .limit(limit)
    )
    found = (await session.scalars(statement)).all()
    return ItemsOut(items=[ItemOut.model_validate(item) for item in found])


@app.post("/api/v1/items", status_code=201)
async def create(body: ItemIn, caller: Caller, session: Session) -> ItemOut:
    """A new item."""
    item = Item(owner_id=caller.id, title=body.title, description=body.description)
    session.add(item)
    await session.commit()
    await session.refresh(item)
    return ItemOut.model_validate(item)
