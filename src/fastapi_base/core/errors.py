"""What can go wrong, in the words of the domain. api/errors.py maps it to replies."""

from collections.abc import Mapping
from typing import Any, ClassVar


class DomainError(Exception):
    """The base of all expected failures.

    `code` is stable and meant for programs, `title` says what kind of failure it is, `detail` what
    happened this time. `extra` holds members that are added to the reply; `retry_after` is seconds.
    """

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "The request failed"
    retry_after: int | None = None

    def __init__(self, detail: str | None = None, *, extra: Mapping[str, Any] | None = None):
        self.detail = detail or self.title
        self.extra = dict(extra or {})
        super().__init__(self.detail)


class InvalidCredentials(DomainError):
    """A login that failed. It never says which half was wrong."""

    code = "invalid-credentials"
    title = "The email address or the password is wrong"


class SecondFactorRequired(DomainError):
    """The password was right; a second factor is to follow. `extra` holds the challenge for it."""

    code = "second-factor-required"
    title = "The account is protected by a second factor; send a code with the challenge"


class InvalidChallenge(DomainError):
    """A login that was begun too long ago, finished already, or never begun."""

    code = "invalid-challenge"
    title = "The challenge is not valid; begin again"


class WrongCode(DomainError):
    """A code of a second factor that is wrong, too old, or was used already."""

    code = "wrong-code"
    title = "The code is wrong or was used already"


class InvalidPasskey(DomainError):
    """A login with a passkey that is unknown, or whose answer is not right."""

    code = "invalid-passkey"
    title = "The passkey was not accepted"


class PasskeyRefused(DomainError):
    """A new passkey that cannot be taken. `detail` says why."""

    code = "passkey-refused"
    title = "The passkey cannot be taken"


class OidcRefused(DomainError):
    """A login at a provider that failed or cannot be believed. The log says why."""

    code = "provider-login-refused"
    title = "The login at the provider was not accepted; begin again"


class EmailNotVouchedFor(DomainError):
    """A provider's account that is new here, and whose address the provider did not check."""

    code = "email-not-vouched-for"
    title = "The provider does not vouch for the email address; register here, then link it"


class NotFresh(DomainError):
    """A session whose login is too long ago for what matters."""

    code = "login-not-recent"
    title = "This takes a recent login; log in again"


class NotAuthenticated(DomainError):
    """No token, or one that is malformed, expired, forged, or of a user who is gone."""

    code = "not-authenticated"
    title = "A valid access token is needed"


class InvalidRefreshToken(NotAuthenticated):
    """A refresh token that is unknown, expired, used already, or of a session that ended."""

    code = "invalid-refresh-token"
    title = "The refresh token is not valid; log in"


class WrongPassword(DomainError):
    """A caller who is logged in confirmed an action with the wrong password."""

    code = "wrong-password"
    title = "The current password is wrong"


class WeakPassword(DomainError):
    """A new password that would be guessed early. `detail` says why."""

    code = "weak-password"
    title = "The password is too easy to guess; take a longer or more unusual one"


class Forbidden(DomainError):
    """The caller is known, and may not do this."""

    code = "forbidden"
    title = "This needs rights that the caller does not have"


class WrongFlagValue(DomainError):
    """A feature flag was given a value of another type. `detail` says which type it takes."""

    code = "wrong-flag-value"
    title = "The value does not fit the feature flag"


class InvalidLink(DomainError):
    """A token from a mail that is unknown, expired, used, or of an address that changed."""

    code = "invalid-link"
    title = "The link is not valid any more; ask for another one"


class EmailNotVerified(DomainError):
    """The password is right, and the address is not confirmed yet, which is required here."""

    code = "email-not-verified"
    title = "Confirm the address first; the link is in the mail"


class RegistrationClosed(DomainError):
    """AUTH_REGISTRATION does not let this caller make an account."""

    code = "registration-closed"
    title = "Accounts are not made this way here"


class InsufficientScope(DomainError):
    """The caller is known and may not do this (RFC 6750, 3.1)."""

    code = "insufficient-scope"
    title = "The caller may not do this"

    def __init__(self, scope: str) -> None:
        super().__init__(f"This needs the scope {scope}")
        self.scope = scope


class SessionNeeded(DomainError):
    """A program with an API key asked for what only a person in a session may do."""

    code = "session-needed"
    title = "This cannot be done by an API key; log in"


class LastSuperuser(DomainError):
    """Somebody must be left who can let others in."""

    code = "last-superuser"
    title = "The last active superuser can be neither removed nor demoted nor shut out"


class TooManyKeys(DomainError):
    """An account has as many API keys as it can."""

    code = "too-many-keys"
    title = "The account has too many API keys"


class CrossSiteRequest(DomainError):
    """A request with a session cookie that another site may have made the browser send."""

    code = "cross-site-request"
    title = "Requests with a cookie must come from our own pages and bring their token"


class NotFound(DomainError):
    """The object does not exist, or belongs to somebody else: the caller cannot tell which."""

    code = "not-found"
    title = "There is no such object"


class Conflict(DomainError):
    """The request contradicts what is stored."""

    code = "conflict"
    title = "The request contradicts what is stored"


class VersionMismatch(DomainError):
    """Somebody changed the object since the caller read it. `detail` says what it is now."""

    code = "version-mismatch"
    title = "The object was changed meanwhile; read it again"


class VersionRequired(DomainError):
    """A change that does not say what it is based on."""

    code = "version-required"
    title = "Send the ETag of what the change is based on in If-Match"


class IdempotencyKeyInUse(Conflict):
    """The first request with this key is still being worked on."""

    code = "idempotency-key-in-use"
    title = "A request with this key is being worked on; try again shortly"
    retry_after = 1


class IdempotencyKeyReused(DomainError):
    """The key came with another method, path or body before."""

    code = "idempotency-key-reused"
    title = "The idempotency key belongs to another request; take a new one"


class EmailTaken(Conflict):
    """The address belongs to an account already."""

    code = "email-taken"
    title = "The email address belongs to an account already"


class AccountNotLinked(Conflict):
    """A provider's account that is new here, whose address has an account that it cannot get."""

    code = "account-not-linked"
    title = "The address has an account; log in to it another way, then link the provider"


class FactorExists(Conflict):
    """The account has a second factor; it has to be taken away before another is set up."""

    code = "second-factor-exists"
    title = "The account has a second factor already"


class NoFactor(Conflict):
    """The account has no second factor, or none that waits for its first code."""

    code = "no-second-factor"
    title = "There is no second factor to do this with"


class Overloaded(DomainError):
    """A bounded queue is full. The work was not started, and may be tried again."""

    code = "overloaded"
    title = "The service is busy; try again shortly"


class DeadlineExceeded(Overloaded):
    """The reply took longer than API_DEADLINE. What was begun was rolled back."""

    code = "deadline-exceeded"
    title = "The request took too long"


class RateLimited(DomainError):
    """More requests than a limit allows; after `retry_after` seconds the next is let through."""

    code = "rate-limited"
    title = "Too many requests; slow down"

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(f"Try again in {retry_after} s")
        self.retry_after = retry_after


class TooManyAttempts(DomainError):
    """Too many failed attempts. After `retry_after` seconds the next one is looked at."""

    code = "too-many-attempts"
    title = "Too many attempts; wait before the next one"

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(f"Try again in {retry_after} s")
        self.retry_after = retry_after


class Unavailable(DomainError):
    """PostgreSQL, Redis or the broker does not answer."""

    code = "unavailable"
    title = "A service that this one needs does not answer"


class ReadOnly(Unavailable):
    """The feature flag read-only is on."""

    code = "read-only"
    title = "The service takes no changes at the moment"


class MailDisabled(Unavailable):
    """The request makes no sense without mail, and no mail server is set."""

    code = "mail-disabled"
    title = "This service sends no mail; its operator has to set MAIL_HOST"


class NotReady(Unavailable):
    """The readiness check failed."""

    code = "not-ready"
    title = "The service is not ready"
