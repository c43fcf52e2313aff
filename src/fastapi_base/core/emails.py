"""E-mail addresses: their canonical form and the domains that this service accepts."""

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

EMAIL_MAX = 254
# Appended to a special-use domain, it makes an ordinary domain that the library validates.
_ORDINARY = ".com"


class _Policy:
    special_domains = False


def allow_special_domains(allowed: bool) -> None:
    """Set whether `normal` accepts special-use domains, for the whole process.

    The choice comes from AUTH_EMAIL_ALLOW_SPECIAL_DOMAINS. It is process-wide because schemas are
    validated without access to the settings.
    """
    _Policy.special_domains = allowed


def normal(address: str, *, special_domains: bool | None = None) -> str:
    """Return the canonical form of an e-mail address. Raises ValueError with the reason if invalid.

    Surrounding whitespace is removed. The domain is converted to ASCII (IDNA 2008 A-labels), so
    that look-alike letters are visible. The local part must be ASCII, for the same reason, and is
    lowercased, because no widely used provider distinguishes case. Special-use domains (RFC 6761:
    `local`, `test`, `localhost`, ...) are refused unless `special_domains` is true; None uses the
    process-wide setting.
    """
    address = address.strip()
    if len(address) > EMAIL_MAX:
        raise ValueError(f"must have at most {EMAIL_MAX} characters")
    try:
        return _valid(address)
    except EmailNotValidError:
        if not (_Policy.special_domains if special_domains is None else special_domains):
            raise
        # The library has no parameter for accepted domains, and its list is global to all of its
        # users.
        try:
            found = _valid(address + _ORDINARY).removesuffix(_ORDINARY)
        except EmailNotValidError:
            found = ""
        if _is_special(found.rpartition("@")[2]):
            return found
        raise


def _valid(address: str) -> str:
    # `strict` makes the library give a reason for each refusal, such as a non-ASCII local part.
    found = validate_email(address, check_deliverability=False, allow_smtputf8=False, strict=True)
    return (found.ascii_email or "").lower()


def _is_special(domain: str) -> bool:
    return any(f".{domain}".endswith(f".{name}") for name in SPECIAL_USE_DOMAIN_NAMES)
