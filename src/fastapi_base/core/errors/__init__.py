"""Domain errors. `api/errors.py` maps them to HTTP responses."""

from fastapi_base.core.errors.availability import (
    DeadlineExceeded,
    MailDisabled,
    NotMigrated,
    NotReady,
    Overloaded,
    RateLimited,
    ReadOnly,
    TakesNoWrites,
    TooManyAtOnce,
    TooManyAttempts,
    Unavailable,
)
from fastapi_base.core.errors.base import (
    DomainError,
    cause,
)
from fastapi_base.core.errors.identity import (
    AccountChanged,
    AccountNotLinked,  # slice: oidc
    EmailNotVerified,
    EmailNotVouchedFor,  # slice: oidc
    EmailTaken,
    FactorExists,
    InvalidChallenge,
    InvalidCredentials,
    InvalidLink,
    InvalidPasskey,  # slice: passkeys
    InvalidRefreshToken,
    LastSuperuser,
    NoFactor,
    NotAuthenticated,
    NotFresh,
    OidcRefused,  # slice: oidc
    PasskeyRefused,  # slice: passkeys
    PasswordNeeded,
    RegistrationClosed,
    SecondFactorRequired,
    TooManyKeys,
    WeakPassword,
    WrongCode,
    WrongPassword,
)
from fastapi_base.core.errors.requests import (
    Conflict,
    CrossSiteRequest,
    Forbidden,
    IdempotencyKeyInUse,
    IdempotencyKeyReused,
    InsufficientScope,
    NotFound,
    SessionNeeded,
    VersionMismatch,
    VersionRequired,
    WrongFlagValue,
)

__all__ = [
    "AccountChanged",
    "AccountNotLinked",  # slice: oidc
    "Conflict",
    "CrossSiteRequest",
    "DeadlineExceeded",
    "DomainError",
    "EmailNotVerified",
    "EmailNotVouchedFor",  # slice: oidc
    "EmailTaken",
    "FactorExists",
    "Forbidden",
    "IdempotencyKeyInUse",
    "IdempotencyKeyReused",
    "InsufficientScope",
    "InvalidChallenge",
    "InvalidCredentials",
    "InvalidLink",
    "InvalidPasskey",  # slice: passkeys
    "InvalidRefreshToken",
    "LastSuperuser",
    "MailDisabled",
    "NoFactor",
    "NotAuthenticated",
    "NotFound",
    "NotFresh",
    "NotMigrated",
    "NotReady",
    "OidcRefused",  # slice: oidc
    "Overloaded",
    "PasskeyRefused",  # slice: passkeys
    "PasswordNeeded",
    "RateLimited",
    "ReadOnly",
    "RegistrationClosed",
    "SecondFactorRequired",
    "SessionNeeded",
    "TakesNoWrites",
    "TooManyAtOnce",
    "TooManyAttempts",
    "TooManyKeys",
    "Unavailable",
    "VersionMismatch",
    "VersionRequired",
    "WeakPassword",
    "WrongCode",
    "WrongFlagValue",
    "WrongPassword",
    "cause",
]
