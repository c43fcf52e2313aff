"""Database tables. Importing this package registers all of them in `metadata`."""

from fastapi_base.models.audit.audit import AuditEvent
from fastapi_base.models.base import metadata
from fastapi_base.models.cache_stamp import CacheStamp
from fastapi_base.models.flags.flag import FlagOverride
from fastapi_base.models.idempotency import IdempotencyKey
from fastapi_base.models.identity.api_key import ApiKey
from fastapi_base.models.identity.email_change import EmailChange  # slice: email-change
from fastapi_base.models.identity.external_identity import ExternalIdentity  # slice: oidc
from fastapi_base.models.identity.invitation import Invitation
from fastapi_base.models.identity.one_time_token import OneTimeToken
from fastapi_base.models.identity.passkey import Passkey  # slice: passkeys
from fastapi_base.models.identity.second_factor import RecoveryCode, TotpFactor
from fastapi_base.models.identity.session import LoginSession, RefreshToken
from fastapi_base.models.identity.user import User
from fastapi_base.models.items.item import Item  # slice: items
from fastapi_base.models.jobs.job import Job
from fastapi_base.models.jobs.schedule import ScheduleState
from fastapi_base.models.privacy.file import File, FileChunk
from fastapi_base.models.statistics.statistics import DayStatistics  # slice: statistics

__all__ = [
    "ApiKey",
    "AuditEvent",
    "CacheStamp",
    "DayStatistics",  # slice: statistics
    "EmailChange",  # slice: email-change
    "ExternalIdentity",  # slice: oidc
    "File",
    "FileChunk",
    "FlagOverride",
    "IdempotencyKey",
    "Invitation",
    "Item",  # slice: items
    "Job",
    "LoginSession",
    "OneTimeToken",
    "Passkey",  # slice: passkeys
    "RecoveryCode",
    "RefreshToken",
    "ScheduleState",
    "TotpFactor",
    "User",
    "metadata",
]
