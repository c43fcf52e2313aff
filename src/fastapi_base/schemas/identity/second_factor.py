"""Second factors as shown to their owners."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fastapi_base.schemas.identity.user import CurrentPassword

TotpCode = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{6}$",
        description="The six digits shown by the authenticator application.",
        examples=["492039"],
    ),
]


class TotpRead(BaseModel):
    """The state of the second factor."""

    enabled: bool = Field(examples=[True])
    pending: bool = Field(description="Whether a secret awaits its first code.", examples=[False])
    confirmed_at: datetime | None = Field(examples=["2026-01-31T12:00:00Z"])
    recovery_codes_left: int = Field(examples=[10])


class TotpEnrol(BaseModel):
    """A request for a new secret, with the caller's password."""

    model_config = ConfigDict(extra="forbid")

    password: CurrentPassword


class TotpSecret(BaseModel):
    """A secret for an authenticator application. It is shown only once."""

    secret: str = Field(description="In base32.", examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"])
    uri: str = Field(
        description="The same as a URI, for a QR code.",
        examples=["otpauth://totp/fastapi-base:ada%40example.com?secret=JBSWY3DPEHPK3PXP"],
    )


class TotpConfirm(BaseModel):
    """The first code of a new secret, which confirms it."""

    model_config = ConfigDict(extra="forbid")

    code: TotpCode


class RecoveryCodesRead(BaseModel):
    """Single-use recovery codes. They are shown once."""

    recovery_codes: list[str] = Field(examples=[["k7dq-2mvb-x9tr-4hwc-p3fz-8nya"]])


class SecondFactorCode(BaseModel):
    """Either a code of the application or a recovery code."""

    model_config = ConfigDict(extra="forbid")

    code: TotpCode | None = Field(default=None, examples=["492039"])
    recovery_code: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Instead of `code`; single-use.",
        examples=["k7dq-2mvb-x9tr-4hwc-p3fz-8nya"],
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.code is None) == (self.recovery_code is None):
            raise ValueError("exactly one of code and recovery_code is required")
        return self


class FactorChange(SecondFactorCode):
    """Password and code, to change the second factor."""

    password: CurrentPassword


class SecondFactorLogin(SecondFactorCode):
    """The second step of a login."""

    challenge: str = Field(
        min_length=1,
        max_length=256,
        description="From the problem `second-factor-required`.",
        examples=["sf_dGhpcyBpcyBhbiBleGFtcGxlIG9mIGEgdG9rZW4hISE"],
    )
