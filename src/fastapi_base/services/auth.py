"""Registration, login, and who is calling."""

from sqlmodel.ext.asyncio.session import AsyncSession

from fastapi_base.core.errors import InvalidCredentials, NotAuthenticated
from fastapi_base.core.security import AccessToken, PasswordHasher, TokenCodec
from fastapi_base.db.database import Database
from fastapi_base.schemas.user import UserRead, normal_email
from fastapi_base.services import users


async def register(
    session: AsyncSession, hasher: PasswordHasher, *, email: str, password: str
) -> None:
    """Add an account, or do the same work for nothing when the address has one.

    The hash comes first. A session takes its connection when it is first used, so nothing that
    holds a connection waits for a thread.
    """
    password_hash = await hasher.hash(password)
    await users.add(session, email=email, password_hash=password_hash)


async def log_in(
    database: Database, hasher: PasswordHasher, tokens: TokenCodec, *, email: str, password: str
) -> AccessToken:
    """A token for who knows the password.

    Raises InvalidCredentials alike, and after the same hashing, for an unknown address, a wrong
    password and an account that is not active.
    """
    found = None
    if address := normal_email(email):
        async with database.read() as connection:
            found = await users.credentials(connection, address)
    fits = await hasher.verify(password, found.password_hash if found else None)
    if found is None or not fits or not found.is_active:
        raise InvalidCredentials
    return tokens.issue(found.id)


async def identify(database: Database, tokens: TokenCodec, token: str) -> UserRead:
    """The active user whose token this is. Raises NotAuthenticated."""
    user_id = tokens.read(token)
    async with database.read() as connection:
        user = await users.get(connection, user_id)
    if user is None or not user.is_active:
        raise NotAuthenticated
    return user
