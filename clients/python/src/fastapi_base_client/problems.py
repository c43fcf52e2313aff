"""The errors that the API answers, by their type.

Generated from the OpenAPI description by `make clients`: changes here are lost.
"""

from fastapi_base_client.errors import ApiError


class AccountChanged(ApiError):
    """The account was modified concurrently; try again"""

    code = "account-changed"


class AccountNotLinked(ApiError):
    """The e-mail address already belongs to an account; log in to it, then link the provider"""

    code = "account-not-linked"


class BadRequest(ApiError):
    """Bad Request"""

    code = "bad-request"


class Conflict(ApiError):
    """The request conflicts with the current state"""

    code = "conflict"


class ContentTooLarge(ApiError):
    """Content Too Large"""

    code = "content-too-large"


class CrossSiteRequest(ApiError):
    """Requests with a session cookie must come from the same site and include the CSRF token"""

    code = "cross-site-request"


class DeadlineExceeded(ApiError):
    """The request exceeded its deadline"""

    code = "deadline-exceeded"


class EmailNotVerified(ApiError):
    """The e-mail address is not verified; follow the link in the mail"""

    code = "email-not-verified"


class EmailNotVouchedFor(ApiError):
    """The identity provider has not verified the e-mail address; register here, then link it"""

    code = "email-not-vouched-for"


class EmailTaken(ApiError):
    """The e-mail address already belongs to an account"""

    code = "email-taken"


class Forbidden(ApiError):
    """The caller lacks the required permissions"""

    code = "forbidden"


class IdempotencyKeyInUse(ApiError):
    """A request with this idempotency key is in progress; try again shortly"""

    code = "idempotency-key-in-use"


class IdempotencyKeyReused(ApiError):
    """The idempotency key was used for a different request; use a new key"""

    code = "idempotency-key-reused"


class InsufficientScope(ApiError):
    """The caller lacks the required scope"""

    code = "insufficient-scope"


class InternalError(ApiError):
    """Internal error"""

    code = "internal-error"


class InvalidChallenge(ApiError):
    """The challenge is invalid or expired; start again"""

    code = "invalid-challenge"


class InvalidCredentials(ApiError):
    """The e-mail address or password is incorrect"""

    code = "invalid-credentials"


class InvalidLink(ApiError):
    """The link is invalid or expired; request a new one"""

    code = "invalid-link"


class InvalidPasskey(ApiError):
    """The passkey is invalid"""

    code = "invalid-passkey"


class InvalidRefreshToken(ApiError):
    """The refresh token is invalid or expired; log in again"""

    code = "invalid-refresh-token"


class InvalidRequest(ApiError):
    """The request is invalid"""

    code = "invalid-request"


class LastSuperuser(ApiError):
    """The last active superuser cannot be removed, demoted or deactivated"""

    code = "last-superuser"


class LoginNotRecent(ApiError):
    """Recent authentication is required; log in again"""

    code = "login-not-recent"


class MailDisabled(ApiError):
    """Mail is disabled; the operator must set MAIL_HOST"""

    code = "mail-disabled"


class MisdirectedRequest(ApiError):
    """Misdirected Request"""

    code = "misdirected-request"


class NoSecondFactor(ApiError):
    """Two-factor authentication is not set up"""

    code = "no-second-factor"


class NotAuthenticated(ApiError):
    """A valid access token is required"""

    code = "not-authenticated"


class NotFound(ApiError):
    """The object does not exist"""

    code = "not-found"


class NotReady(ApiError):
    """The service is not ready"""

    code = "not-ready"


class Overloaded(ApiError):
    """The service is overloaded; try again shortly"""

    code = "overloaded"


class PasskeyRefused(ApiError):
    """The passkey cannot be registered"""

    code = "passkey-refused"


class PasswordNeeded(ApiError):
    """The account's password is required"""

    code = "password-needed"


class ProviderLoginRefused(ApiError):
    """Login through the identity provider failed; start again"""

    code = "provider-login-refused"


class RateLimited(ApiError):
    """The rate limit is exceeded; slow down"""

    code = "rate-limited"


class RegistrationClosed(ApiError):
    """Self-registration is disabled"""

    code = "registration-closed"


class RequestTimeout(ApiError):
    """Request Timeout"""

    code = "request-timeout"


class SecondFactorExists(ApiError):
    """Two-factor authentication is already set up"""

    code = "second-factor-exists"


class SecondFactorRequired(ApiError):
    """A second factor is required; send a code with the challenge"""

    code = "second-factor-required"


class SessionNeeded(ApiError):
    """API keys cannot be used here; log in"""

    code = "session-needed"


class TooManyAtOnce(ApiError):
    """Too many concurrent operations; wait for one to finish"""

    code = "too-many-at-once"


class TooManyAttempts(ApiError):
    """Too many failed attempts; wait before the next one"""

    code = "too-many-attempts"


class TooManyKeys(ApiError):
    """The account has reached its limit of API keys"""

    code = "too-many-keys"


class Unavailable(ApiError):
    """A required service does not respond"""

    code = "unavailable"


class UnsupportedMediaType(ApiError):
    """Unsupported Media Type"""

    code = "unsupported-media-type"


class VersionMismatch(ApiError):
    """The object was modified since it was read; read it again"""

    code = "version-mismatch"


class VersionRequired(ApiError):
    """If-Match with the current ETag is required"""

    code = "version-required"


class WeakPassword(ApiError):
    """The password is too easy to guess; choose a longer or less common one"""

    code = "weak-password"


class WrongCode(ApiError):
    """The code is incorrect or already used"""

    code = "wrong-code"


class WrongFlagValue(ApiError):
    """The value has the wrong type for the feature flag"""

    code = "wrong-flag-value"


class WrongPassword(ApiError):
    """The current password is incorrect"""

    code = "wrong-password"
