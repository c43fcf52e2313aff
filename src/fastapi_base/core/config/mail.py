"""Settings of outgoing e-mail."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from fastapi_base.core.config import validators
from fastapi_base.core.config.section import Seconds, Section

Host = Annotated[str, AfterValidator(validators.bind_host)]
WebUrl = Annotated[str, AfterValidator(validators.web_url)]
Sender = Annotated[str, AfterValidator(validators.sender)]


class MailSettings(Section):
    """Delivery of e-mail: server, sender, and links. `timeout` is in seconds."""

    model_config = SettingsConfigDict(env_prefix="MAIL_")

    host: Host | None = None
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    ca_file: Path | None = None
    username: str | None = None
    password: SecretStr | None = None
    timeout: Seconds = 20
    folder: Path | None = None
    sender: Sender = "no-reply@example.com"
    sender_name: str = Field(default="fastapi-base", pattern=r"^[^\x00-\x1f\x7f]+$", max_length=64)
    link_base: WebUrl = "http://127.0.0.1:8000"
