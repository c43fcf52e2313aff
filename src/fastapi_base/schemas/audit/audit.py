"""Events of the audit log, and their filters."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from fastapi_base.schemas.moment import Moment


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Filters of the audit log, combined with AND."""

    actor_id: uuid.UUID | None = None
    subject_id: uuid.UUID | None = None
    action: Annotated[str | None, Field(max_length=64, pattern=r"^[a-z.-]*$")] = None
    occurred_from: Moment | None = None
    occurred_before: Moment | None = None


class AuditEventRead(BaseModel):
    """An event of the audit log."""

    model_config = ConfigDict(from_attributes=True)

    id: uuid.UUID = Field(examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"])
    occurred_at: datetime = Field(examples=["2026-01-31T12:00:00Z"])
    action: str = Field(examples=["account.changed"])
    actor_id: uuid.UUID | None = Field(
        description="The authenticated actor, if any.",
        examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"],
    )
    subject_id: uuid.UUID | None = Field(
        description="The affected account.",
        examples=["0197a5b0-7c3f-7b61-9d43-0f4a2f6d1c55"],
    )
    address: str | None = Field(examples=["192.0.2.7"])
    user_agent: str | None = Field(examples=["ExampleApp/1.0"])
    request_id: str | None = Field(examples=["5f0c2a9be1d34c075f0c2a9be1d34c07"])
    details: dict[str, Any] = Field(
        examples=[{"changes": {"is_superuser": {"before": False, "after": True}}}]
    )
