"""What requests and responses hold.

Generated from the OpenAPI description by `make clients`: changes here are lost.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict


class ApiKeyCreate(TypedDict):
    """An API key to create."""

    name: str
    """The purpose of the key."""
    scopes: list[Scope]
    """A subset of the caller's scopes."""
    expires_in_days: NotRequired[int]


class ApiKeyCreated(TypedDict):
    """A new key with its secret, which is shown once."""

    id: str
    name: str
    start: str
    """The first characters of the key."""
    scopes: list[str]
    created_at: str
    expires_at: str
    last_used_at: str | None
    """Accurate to the minute."""
    key: str


class ApiKeyPage(TypedDict):
    """An object."""

    items: list[ApiKeyRead]
    next: NotRequired[str | None]
    """The `cursor` of the next page; null at the end."""
    previous: NotRequired[str | None]
    """The `cursor` of the previous page; null at the start."""
    total: NotRequired[int | None]
    """The number of rows on all pages, counted up to 10,000; only with `total=true`."""
    total_is_exact: NotRequired[bool | None]
    """Whether `total` is exact; false if there are more rows."""


class ApiKeyRead(TypedDict):
    """A key without its secret."""

    id: str
    name: str
    start: str
    """The first characters of the key."""
    scopes: list[str]
    created_at: str
    expires_at: str
    last_used_at: str | None
    """Accurate to the minute."""


class ApiKeyRotate(TypedDict):
    """Options for replacing a key."""

    overlap_seconds: NotRequired[int]
    """How long the old key stays valid."""
    expires_in_days: NotRequired[int]


type ApiKeysSort = Literal["created_at", "-created_at", "last_used_at", "-last_used_at"]


class AuditEventPage(TypedDict):
    """An object."""

    items: list[AuditEventRead]
    next: NotRequired[str | None]
    """The `cursor` of the next page; null at the end."""
    previous: NotRequired[str | None]
    """The `cursor` of the previous page; null at the start."""
    total: NotRequired[int | None]
    """The number of rows on all pages, counted up to 10,000; only with `total=true`."""
    total_is_exact: NotRequired[bool | None]
    """Whether `total` is exact; false if there are more rows."""


class AuditEventRead(TypedDict):
    """An event of the audit log."""

    id: str
    occurred_at: str
    action: str
    actor_id: str | None
    """The authenticated actor, if any."""
    subject_id: str | None
    """The affected account."""
    address: str | None
    user_agent: str | None
    request_id: str | None
    details: dict[str, Any]


type AuditEventsSort = Literal["occurred_at", "-occurred_at"]
type BackgroundWork = dict[str, Work]


class Check(TypedDict):
    """One dependency of the service."""

    ok: bool
    milliseconds: float
    error: NotRequired[str | None]


type Checks = dict[str, Check]


class CookieRead(TypedDict):
    """The CSRF token of a session whose id is in a cookie."""

    csrf_token: str
    """For the header `X-CSRF-Token` of unsafe methods."""


class DeletionRead(TypedDict):
    """The time at which an account will be deleted."""

    delete_after: str
    """Logging in before this time cancels the deletion."""


class EmailChangeConfirmed(TypedDict):
    """The result of a confirmation."""

    status: EmailChangeStatus
    """`waiting`: the other address is not verified yet."""


class EmailChangeRead(TypedDict):
    """A change that awaits the verification of one or both addresses."""

    new_email: str
    expires_at: str
    old_confirmed: bool
    new_confirmed: bool


class EmailChangeRequest(TypedDict):
    """The new address, and the password of the account."""

    new_email: str
    current_password: str


type EmailChangeStatus = Literal["changed", "waiting"]


class EmailGiven(TypedDict):
    """The recipient of a mail."""

    email: str


type ExportFormat = Literal["csv", "ndjson"]


class FactorChange(TypedDict):
    """Password and code, to change the second factor."""

    code: NotRequired[str | None]
    recovery_code: NotRequired[str | None]
    """Instead of `code`; single-use."""
    password: str


class FlagRead(TypedDict):
    """A flag and its override."""

    name: str
    description: str
    default: bool | int | float | str
    override: OverrideWrite | None


class HeldLinkToken(TypedDict):
    """The token of a link in a mail, and the password of the account."""

    token: str
    password: NotRequired[str | None]
    """The account's password. Not required in a session of the account."""


class IdentityRead(TypedDict):
    """An identity provider that an account is linked to."""

    id: str
    provider: str
    issuer: str
    subject: str
    """The account's identifier at the provider."""
    created_at: str


class InvalidField(TypedDict):
    """One invalid part of the request."""

    location: list[str | int]
    message: str
    type: str


class InvitationCreate(TypedDict):
    """An e-mail address to invite."""

    email: str


class InvitationRead(TypedDict):
    """An open invitation."""

    id: str
    email: str
    created_at: str
    expires_at: str


class ItemCreate(TypedDict):
    """A new item."""

    title: str
    description: NotRequired[str | None]


class ItemPage(TypedDict):
    """An object."""

    items: list[ItemRead]
    next: NotRequired[str | None]
    """The `cursor` of the next page; null at the end."""
    previous: NotRequired[str | None]
    """The `cursor` of the previous page; null at the start."""
    total: NotRequired[int | None]
    """The number of rows on all pages, counted up to 10,000; only with `total=true`."""
    total_is_exact: NotRequired[bool | None]
    """Whether `total` is exact; false if there are more rows."""


class ItemRead(TypedDict):
    """An item."""

    id: str
    title: str
    description: str | None
    version: int
    """Incremented by each change; also in `ETag`."""
    created_at: str
    updated_at: str


class ItemUpdate(TypedDict):
    """Changes to an item (RFC 7396): absent members stay unchanged, null clears a member."""

    title: NotRequired[str]
    description: NotRequired[str | None]


class ItemsCreate(TypedDict):
    """Many new items: all are created, or none."""

    items: list[ItemCreate]


class ItemsCreated(TypedDict):
    """The ids of the new items, in the order of the request."""

    ids: list[str]


class ItemsFile(TypedDict):
    """A CSV file."""

    file: str


type ItemsSort = Literal[
    "created_at", "-created_at", "updated_at", "-updated_at", "title", "-title"
]


class JobPage(TypedDict):
    """An object."""

    items: list[JobRead]
    next: NotRequired[str | None]
    """The `cursor` of the next page; null at the end."""
    previous: NotRequired[str | None]
    """The `cursor` of the previous page; null at the start."""
    total: NotRequired[int | None]
    """The number of rows on all pages, counted up to 10,000; only with `total=true`."""
    total_is_exact: NotRequired[bool | None]
    """Whether `total` is exact; false if there are more rows."""


class JobRead(TypedDict):
    """A job and its state."""

    id: str
    kind: str
    status: JobStatus
    created_at: str
    run_at: str
    """The earliest time at which the job starts."""
    started_at: NotRequired[str | None]
    finished_at: NotRequired[str | None]
    attempt: int
    """The number of attempts started."""
    progress: NotRequired[Progress | None]
    """The progress of the current attempt."""
    result: NotRequired[JobResult | None]
    """Present after success; its members depend on the kind."""
    error: NotRequired[str | None]
    """The error of the last failed attempt."""


type JobResult = dict[str, Any]
type JobStatus = Literal["queued", "running", "succeeded", "failed", "cancelled"]
type JobsSort = Literal["created_at", "-created_at"]
type JsonWebKey = dict[str, Any]


class KeySetRead(TypedDict):
    """A JSON Web Key Set (RFC 7517, 5)."""

    keys: list[JsonWebKey]


class Live(TypedDict):
    """The process responds."""

    status: NotRequired[Literal["ok"]]


class LoginForm(TypedDict):
    """An object."""

    grant_type: NotRequired[str]
    username: str
    """E-mail address."""
    password: str
    scope: NotRequired[str]
    client_id: NotRequired[str]
    client_secret: NotRequired[str]


type LoginMode = Literal["tokens", "cookie"]
type LoginResult = TokenRead | CookieRead


class OidcBegun(TypedDict):
    """The redirect, and the transaction that the page keeps."""

    authorization_url: str
    transaction: str
    """Required to complete the login. Keep it in the page, for example in `sessionStorage`,
    and never in a URL.
    """


class OidcFinish(TypedDict):
    """The provider's response and the transaction."""

    transaction: str
    code: str
    state: str
    iss: NotRequired[str | None]
    """If the provider sent one (RFC 9207)."""


class OverrideWrite(TypedDict):
    """An override of a flag and the accounts it applies to."""

    value: bool | int | float | str
    percentage: NotRequired[float]
    """Percentage of accounts that get the value. Below 100, anonymous callers keep the
    default. Accounts included at 10 are also included at 20.
    """
    user_ids: NotRequired[list[str]]
    """Accounts that always get the value."""


class PasskeyLogin(TypedDict):
    """The response of a passkey."""

    credential: dict[str, Any]
    """The result of `PublicKeyCredential.toJSON()`."""


class PasskeyOptions(TypedDict):
    """WebAuthn options as JSON."""

    public_key: dict[str, Any]
    """For `PublicKeyCredential.parseCreationOptionsFromJSON()`, or
    `parseRequestOptionsFromJSON()` at login.
    """


class PasskeyRead(TypedDict):
    """A passkey."""

    id: str
    name: str
    backed_up: bool
    """Whether the passkey is synced across devices."""
    created_at: str
    last_used_at: str | None


class PasskeyRegister(TypedDict):
    """A passkey to register."""

    name: str
    """A name to display in lists."""
    credential: dict[str, Any]
    """The result of `PublicKeyCredential.toJSON()`."""


class PasskeyRename(TypedDict):
    """The new name of a passkey."""

    name: str
    """A name to display in lists."""


class PasswordChange(TypedDict):
    """A new password, and the current one."""

    current_password: str
    new_password: str
    """Any characters; length determines strength."""


class PasswordGiven(TypedDict):
    """The password of the account."""

    current_password: str


class PasswordReset(TypedDict):
    """A new password, and the token of the link that permits the change."""

    token: str
    new_password: str
    """Any characters; length determines strength."""


class Problem(TypedDict):
    """A problem document."""

    type: str
    """A stable identifier of the kind of problem."""
    title: str
    status: int
    detail: str
    """What happened in this case."""
    instance: str
    request_id: NotRequired[str | None]
    """Quote it in support requests."""
    errors: NotRequired[list[InvalidField] | None]
    """Only for invalid requests: the first errors."""
    errors_left_out: NotRequired[int | None]
    """Number of further errors, if any."""


class ProfilePatch(TypedDict):
    """Changes to the caller's account; absent members stay unchanged."""

    display_name: NotRequired[str | None]
    """null removes it."""


class Progress(TypedDict):
    """The progress of a running job, in steps. `total` is null while unknown."""

    done: int
    total: NotRequired[int | None]
    note: NotRequired[str | None]


class ProviderRead(TypedDict):
    """An identity provider."""

    name: str
    """The name in paths."""
    label: str
    """The name to display."""


class Ready(TypedDict):
    """The service can accept requests."""

    status: NotRequired[Literal["ready"]]
    checks: NotRequired[Checks | None]
    """For operators only."""
    background: NotRequired[BackgroundWork | None]
    """For operators only. A failure here does not affect readiness."""
    last_heartbeat: NotRequired[str | None]
    """When a worker last ran the scheduled heartbeat. Informational: readiness does not depend
    on background work.
    """
    last_relay: NotRequired[str | None]
    """When a relay last checked for jobs to publish. Informational."""


class Reauthentication(TypedDict):
    """Reauthentication for sessions without a recent login."""

    password: NotRequired[str | None]
    """Required when the login was not recent."""


class Received(TypedDict):
    """The same response for known and unknown addresses."""

    message: str


class RecoveryCodesRead(TypedDict):
    """Single-use recovery codes. They are shown once."""

    recovery_codes: list[str]


class RefreshRequest(TypedDict):
    """A refresh token to exchange."""

    refresh_token: str


type Scope = Literal[
    "profile:read",
    "jobs:read",
    "jobs:write",
    "items:read",
    "items:write",
    "users:read",
    "users:write",
    "audit:read",
    "statistics:read",
]


class SecondFactorLogin(TypedDict):
    """The second step of a login."""

    code: NotRequired[str | None]
    recovery_code: NotRequired[str | None]
    """Instead of `code`; single-use."""
    challenge: str
    """From the problem `second-factor-required`."""


class SessionRead(TypedDict):
    """One login on one device."""

    id: str
    current: bool
    """Whether this request belongs to it."""
    address: str | None
    """The IP address of the login."""
    user_agent: str | None
    """The User-Agent of the login."""
    created_at: str
    last_used_at: str
    """When its token was last refreshed."""
    expires_at: str


class SessionsEnded(TypedDict):
    """The number of ended sessions."""

    count: int


class Started(TypedDict):
    """The process has been ready once."""

    status: NotRequired[Literal["started"]]


class StatisticsPage(TypedDict):
    """An object."""

    items: list[StatisticsRead]
    next: NotRequired[str | None]
    """The `cursor` of the next page; null at the end."""
    previous: NotRequired[str | None]
    """The `cursor` of the previous page; null at the start."""
    total: NotRequired[int | None]
    """The number of rows on all pages, counted up to 10,000; only with `total=true`."""
    total_is_exact: NotRequired[bool | None]
    """Whether `total` is exact; false if there are more rows."""


class StatisticsRead(TypedDict):
    """The statistics of a day."""

    day: str
    """In UTC."""
    figures: dict[str, int]
    """Counts by name; later releases may add more."""
    computed_at: str


type StatisticsSort = Literal["day", "-day"]


class TokenRead(TypedDict):
    """An access token and a refresh token (RFC 6749, 5.1)."""

    access_token: str
    token_type: NotRequired[Literal["bearer"]]
    expires_in: int
    """Seconds until it expires."""
    refresh_token: str
    """For /auth/refresh, which returns a new one; single-use."""


class TotpConfirm(TypedDict):
    """The first code of a new secret, which confirms it."""

    code: str
    """The six digits shown by the authenticator application."""


class TotpEnrol(TypedDict):
    """A request for a new secret, with the caller's password."""

    password: str


class TotpRead(TypedDict):
    """The state of the second factor."""

    enabled: bool
    pending: bool
    """Whether a secret awaits its first code."""
    confirmed_at: str | None
    recovery_codes_left: int


class TotpSecret(TypedDict):
    """A secret for an authenticator application. It is shown only once."""

    secret: str
    """In base32."""
    uri: str
    """The same as a URI, for a QR code."""


class UserCreate(TypedDict):
    """An account created by a superuser."""

    email: str
    password: str
    """Any characters; length determines strength."""
    display_name: NotRequired[str | None]
    is_superuser: NotRequired[bool]


class UserPage(TypedDict):
    """An object."""

    items: list[UserRead]
    next: NotRequired[str | None]
    """The `cursor` of the next page; null at the end."""
    previous: NotRequired[str | None]
    """The `cursor` of the previous page; null at the start."""
    total: NotRequired[int | None]
    """The number of rows on all pages, counted up to 10,000; only with `total=true`."""
    total_is_exact: NotRequired[bool | None]
    """Whether `total` is exact; false if there are more rows."""


class UserPatch(TypedDict):
    """Changes to an account by a superuser; absent members stay unchanged."""

    display_name: NotRequired[str | None]
    """null removes it."""
    is_superuser: NotRequired[bool]


class UserRead(TypedDict):
    """An account."""

    id: str
    email: str
    is_verified: bool
    """Whether the e-mail address is verified."""
    display_name: str | None
    is_active: bool
    is_superuser: bool
    created_at: str
    updated_at: str


class UserRegister(TypedDict):
    """An account to register."""

    email: str
    password: str
    """Any characters; length determines strength."""
    invitation: NotRequired[str | None]
    """The token of an invitation to this address."""


type UsersSort = Literal["created_at", "-created_at", "email", "-email"]


class WordCountRequest(TypedDict):
    """A text to count the words of."""

    text: str


class Work(TypedDict):
    """One background activity of this process."""

    ok: bool
    """Whether it has been running stably."""
    failures: int
    """How often it failed and was restarted in this process."""
    error: NotRequired[str | None]
    """The type of its last failure."""
