"""Tables. Importing this package registers all of them in `metadata`."""

from fastapi_base.models.api_key import ApiKey
from fastapi_base.models.audit import AuditEvent
from fastapi_base.models.base import metadata
from fastapi_base.models.email_change import EmailChange
from fastapi_base.models.external_identity import ExternalIdentity
from fastapi_base.models.file import File, FileChunk
from fastapi_base.models.flag import FlagOverride
from fastapi_base.models.idempotency import IdempotencyKey
from fastapi_base.models.invitation import Invitation
from fastapi_base.models.item import Item  # slice: items
from fastapi_base.models.job import Job
from fastapi_base.models.one_time_token import OneTimeToken
from fastapi_base.models.passkey import Passkey
from fastapi_base.models.schedule import ScheduleState
from fastapi_base.models.second_factor import RecoveryCode, TotpFactor
from fastapi_base.models.session import LoginSession, RefreshToken
from fastapi_base.models.statistics import DayStatistics
from fastapi_base.models.user import User

__all__ = [
    "ApiKey",
    "AuditEvent",
    "DayStatistics",
    "EmailChange",
    "ExternalIdentity",
    "File",
    "FileChunk",
    "FlagOverride",
    "IdempotencyKey",
    "Invitation",
    "Item",  # slice: items
    "Job",
    "LoginSession",
    "OneTimeToken",
    "Passkey",
    "RecoveryCode",
    "RefreshToken",
    "ScheduleState",
    "TotpFactor",
    "User",
    "metadata",
]
