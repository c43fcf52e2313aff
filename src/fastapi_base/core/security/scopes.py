"""Scopes, and the roles that grant them."""

from enum import StrEnum


class Scope(StrEnum):
    """A permission of a caller. Endpoints name the scope that they require."""

    PROFILE_READ = "profile:read"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    ITEMS_READ = "items:read"  # slice: items
    ITEMS_WRITE = "items:write"  # slice: items
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    AUDIT_READ = "audit:read"
    STATISTICS_READ = "statistics:read"  # slice: statistics


DESCRIPTIONS: dict[Scope, str] = {
    Scope.PROFILE_READ: "Read your own account.",
    Scope.JOBS_READ: "Read your own jobs.",
    Scope.JOBS_WRITE: "Start jobs.",
    Scope.ITEMS_READ: "Read your own items.",  # slice: items
    Scope.ITEMS_WRITE: "Create, change and remove your own items.",  # slice: items
    Scope.USERS_READ: "Read all accounts (superusers).",
    Scope.USERS_WRITE: "Add, change and remove accounts (superusers).",
    Scope.AUDIT_READ: "Read the audit log (superusers).",
    Scope.STATISTICS_READ: "Read daily statistics (superusers).",  # slice: statistics
}

USER = frozenset(
    {
        Scope.PROFILE_READ,
        Scope.JOBS_READ,
        Scope.JOBS_WRITE,
        Scope.ITEMS_READ,  # slice: items
        Scope.ITEMS_WRITE,  # slice: items
    }
)
SUPERUSER = frozenset(Scope)


def of_role(*, is_superuser: bool) -> frozenset[Scope]:
    """The scopes of an account. There are two roles, users and superusers."""
    return SUPERUSER if is_superuser else USER
