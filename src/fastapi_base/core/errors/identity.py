"""Errors of accounts, sessions and authentication methods."""

from fastapi_base.core.errors.base import DomainError
from fastapi_base.core.errors.requests import Conflict


class InvalidCredentials(DomainError):
    """A failed login. It does not reveal whether the address or the password was wrong."""

    code = "invalid-credentials"
    title = "The e-mail address or password is incorrect"


class SecondFactorRequired(DomainError):
    """The password is right and a second factor is required. `extra` holds the challenge."""

    code = "second-factor-required"
    title = "A second factor is required; send a code with the challenge"


class InvalidChallenge(DomainError):
    """The login challenge is unknown, expired or already used."""

    code = "invalid-challenge"
    title = "The challenge is invalid or expired; start again"


class WrongCode(DomainError):
    """The second-factor code is wrong, expired or already used."""

    code = "wrong-code"
    title = "The code is incorrect or already used"


# begin slice: passkeys
class InvalidPasskey(DomainError):
    """A passkey login with an unknown passkey or an invalid response."""

    code = "invalid-passkey"
    title = "The passkey is invalid"


class PasskeyRefused(DomainError):
    """A new passkey that cannot be registered. `detail` names the reason."""

    code = "passkey-refused"
    title = "The passkey cannot be registered"


# end slice: passkeys
# begin slice: oidc
class OidcRefused(DomainError):
    """A login through a provider that failed or cannot be trusted. The log names the reason."""

    code = "provider-login-refused"
    title = "Login through the identity provider failed; start again"


class EmailNotVouchedFor(DomainError):
    """An unknown provider account whose e-mail address the provider has not verified."""

    code = "email-not-vouched-for"
    title = "The identity provider has not verified the e-mail address; register here, then link it"


# end slice: oidc
class NotFresh(DomainError):
    """The session's last login is too old for a sensitive operation."""

    code = "login-not-recent"
    title = "Recent authentication is required; log in again"


class NotAuthenticated(DomainError):
    """No token, or one that is malformed, expired, forged, or of a deleted user."""

    code = "not-authenticated"
    title = "A valid access token is required"


class InvalidRefreshToken(NotAuthenticated):
    """A refresh token that is unknown, expired, already used, or of an ended session."""

    code = "invalid-refresh-token"
    title = "The refresh token is invalid or expired; log in again"


class WrongPassword(DomainError):
    """A logged-in caller confirmed an action with the wrong password."""

    code = "wrong-password"
    title = "The current password is incorrect"


class PasswordNeeded(DomainError):
    """A token from a mail came without the password or session of the account's holder."""

    code = "password-needed"
    title = "The account's password is required"


class WeakPassword(DomainError):
    """A new password that is easy to guess. `detail` names the reason."""

    code = "weak-password"
    title = "The password is too easy to guess; choose a longer or less common one"


class InvalidLink(DomainError):
    """A token from a mail that is unknown, expired, used, or of a changed address."""

    code = "invalid-link"
    title = "The link is invalid or expired; request a new one"


class EmailNotVerified(DomainError):
    """The password is right, but the address is not verified, which is required here."""

    code = "email-not-verified"
    title = "The e-mail address is not verified; follow the link in the mail"


class RegistrationClosed(DomainError):
    """AUTH_REGISTRATION does not allow this caller to create an account."""

    code = "registration-closed"
    title = "Self-registration is disabled"


class LastSuperuser(DomainError):
    """At least one active superuser must remain."""

    code = "last-superuser"
    title = "The last active superuser cannot be removed, demoted or deactivated"


class TooManyKeys(DomainError):
    """The account has reached its limit of API keys."""

    code = "too-many-keys"
    title = "The account has reached its limit of API keys"


class AccountChanged(Conflict):
    """The account changed after the caller authenticated."""

    code = "account-changed"
    title = "The account was modified concurrently; try again"


class EmailTaken(Conflict):
    """The address already belongs to an account."""

    code = "email-taken"
    title = "The e-mail address already belongs to an account"


# begin slice: oidc
class AccountNotLinked(Conflict):
    """An unknown provider account whose address belongs to an account it may not access."""

    code = "account-not-linked"
    title = "The e-mail address already belongs to an account; log in to it, then link the provider"


# end slice: oidc
class FactorExists(Conflict):
    """The account already has a second factor; remove it before setting up another."""

    code = "second-factor-exists"
    title = "Two-factor authentication is already set up"


class NoFactor(Conflict):
    """The account has no second factor, or none that awaits confirmation."""

    code = "no-second-factor"
    title = "Two-factor authentication is not set up"
