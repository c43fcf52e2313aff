"""All routes of version 1."""

from fastapi import APIRouter

from fastapi_base.api.deps import WritableUnlessReadOnly
from fastapi_base.api.v1.endpoints import (
    admin,
    api_keys,
    auth,
    email_change,
    exports,
    flags,
    invitations,
    items,  # slice: items
    items_import,  # slice: items
    jobs,
    lifecycle,
    oidc,
    passkeys,
    recovery,
    sessions,
    totp,
    users,
)

router = APIRouter(prefix="/api/v1")
# The busiest first: the router tries them in this order.
router.include_router(users.router, dependencies=[WritableUnlessReadOnly])
router.include_router(admin.router, dependencies=[WritableUnlessReadOnly])
router.include_router(jobs.router, dependencies=[WritableUnlessReadOnly])
router.include_router(api_keys.router, dependencies=[WritableUnlessReadOnly])
router.include_router(items.router, dependencies=[WritableUnlessReadOnly])  # slice: items
router.include_router(items_import.router, dependencies=[WritableUnlessReadOnly])  # slice: items
# Logging in and out, and ending read-only itself, go on.
router.include_router(auth.router)
router.include_router(sessions.router)
router.include_router(flags.router)
router.include_router(email_change.router, dependencies=[WritableUnlessReadOnly])
router.include_router(invitations.router, dependencies=[WritableUnlessReadOnly])
router.include_router(exports.router, dependencies=[WritableUnlessReadOnly])
router.include_router(lifecycle.router, dependencies=[WritableUnlessReadOnly])
router.include_router(recovery.router, dependencies=[WritableUnlessReadOnly])
router.include_router(totp.router, dependencies=[WritableUnlessReadOnly])
router.include_router(passkeys.router, dependencies=[WritableUnlessReadOnly])
router.include_router(passkeys.login)
router.include_router(oidc.router)
router.include_router(oidc.links, dependencies=[WritableUnlessReadOnly])
