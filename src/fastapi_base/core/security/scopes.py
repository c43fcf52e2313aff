"""What callers may do: scopes, and the roles that hold them."""

from enum import StrEnum


class Scope(StrEnum):
    """One thing that a caller may do. Endpoints name the scope that they need."""

    PROFILE_READ = "profile:read"
    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    ITEMS_READ = "items:read"  # slice: items
    ITEMS_WRITE = "items:write"  # slice: items
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    AUDIT_READ = "audit:read"
    STATISTICS_READ = "statistics:read"


DESCRIPTIONS: dict[Scope, str] = {
    Scope.PROFILE_READ: "Read one's own account.",
    Scope.JOBS_READ: "Look at one's own jobs.",
    Scope.JOBS_WRITE: "Start jobs.",
    Scope.ITEMS_READ: "Read one's own items.",  # slice: items
    Scope.ITEMS_WRITE: "Make, change and remove one's own items.",  # slice: items
    Scope.USERS_READ: "Read all accounts (superusers).",
    Scope.USERS_WRITE: "Add, change and remove accounts (superusers).",
    Scope.AUDIT_READ: "Read the audit log (superusers).",
    Scope.STATISTICS_READ: "Read the figures of days (superusers).",
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
    """What an account may do: there are two roles, users and superusers."""
    return SUPERUSER if is_superuser else USER
