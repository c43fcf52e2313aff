"""Second factors as their owners see them."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from fastapi_base.schemas.user import PASSWORD_MAX

TotpCode = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{6}$",
        description="The six digits that the authenticator application shows.",
        examples=["492039"],
    ),
]
CurrentPassword = Annotated[
    str,
    Field(
        max_length=PASSWORD_MAX,
        examples=["correct horse battery staple"],
        json_schema_extra={"format": "password"},
    ),
]


class TotpRead(BaseModel):
    """Whether logins ask for a code."""

    enabled: bool = Field(examples=[True])
    pending: bool = Field(description="A secret waits for its first code.", examples=[False])
    confirmed_at: datetime | None = Field(examples=["2026-01-31T12:00:00Z"])
    recovery_codes_left: int = Field(examples=[10])


class TotpEnrol(BaseModel):
    """A request for a secret."""

    model_config = ConfigDict(extra="forbid")

    password: CurrentPassword


class TotpSecret(BaseModel):
    """A secret for an authenticator application. It is shown once."""

    secret: str = Field(description="In base32.", examples=["JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"])
    uri: str = Field(
        description="The same as a QR code holds it.",
        examples=["otpauth://totp/fastapi-base:ada%40example.com?secret=JBSWY3DPEHPK3PXP"],
    )


class TotpConfirm(BaseModel):
    """The first code of a new secret."""

    model_config = ConfigDict(extra="forbid")

    code: TotpCode


class RecoveryCodesRead(BaseModel):
    """Codes for when the application is lost, each good once. They are shown once."""

    recovery_codes: list[str] = Field(examples=[["k7dq-2mvb-x9tr-4hwc-p3fz-8nya"]])


class CodeProof(BaseModel):
    """A code of the application, or a recovery code: one of them."""

    model_config = ConfigDict(extra="forbid")

    code: TotpCode | None = Field(default=None, examples=["492039"])
    recovery_code: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="Instead of `code`; good once.",
        examples=["k7dq-2mvb-x9tr-4hwc-p3fz-8nya"],
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.code is None) == (self.recovery_code is None):
            raise ValueError("send either code or recovery_code")
        return self


class FactorChange(CodeProof):
    """Password and code, for what changes the second factor."""

    password: CurrentPassword


class SecondFactorLogin(CodeProof):
    """The second step of a login."""

    challenge: str = Field(
        min_length=1,
        max_length=256,
        description="From the problem `second-factor-required`.",
        examples=["sf_dGhpcyBpcyBhbiBleGFtcGxlIG9mIGEgdG9rZW4hISE"],
    )
