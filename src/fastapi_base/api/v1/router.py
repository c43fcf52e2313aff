"""All routes of version 1."""

from fastapi import APIRouter

from fastapi_base.api.dependencies.bounds import WithinBounds
from fastapi_base.api.deps import WritableUnlessReadOnly
from fastapi_base.api.v1.endpoints.audit import audit_log
from fastapi_base.api.v1.endpoints.flags import flags
from fastapi_base.api.v1.endpoints.identity import (
    admin,
    api_keys,
    auth,
    email_change,  # slice: email-change
    invitations,
    lifecycle,
    oidc,  # slice: oidc
    passkeys,  # slice: passkeys
    recovery,
    sessions,
    totp,
    users,
)
from fastapi_base.api.v1.endpoints.items import items, items_import  # slice: items
from fastapi_base.api.v1.endpoints.jobs import jobs
from fastapi_base.api.v1.endpoints.privacy import exports
from fastapi_base.api.v1.endpoints.statistics import statistics  # slice: statistics

#: Given where the router is included: without a prefix there, FastAPI analyses all routes once more
#: to check that none has an empty path.
PREFIX = "/api/v1"

router = APIRouter(dependencies=[WithinBounds])
# Most frequent first: the router tries them in this order.
router.include_router(users.router, dependencies=[WritableUnlessReadOnly])
router.include_router(admin.router, dependencies=[WritableUnlessReadOnly])
router.include_router(audit_log.router, dependencies=[WritableUnlessReadOnly])
router.include_router(statistics.router, dependencies=[WritableUnlessReadOnly])  # slice: statistics
router.include_router(jobs.router, dependencies=[WritableUnlessReadOnly])
router.include_router(api_keys.router, dependencies=[WritableUnlessReadOnly])
router.include_router(items.router, dependencies=[WritableUnlessReadOnly])  # slice: items
router.include_router(items_import.router, dependencies=[WritableUnlessReadOnly])  # slice: items
# Login, logout and switching read-only off stay available.
router.include_router(auth.router)
router.include_router(sessions.router)
router.include_router(flags.router)
# begin slice: email-change
router.include_router(email_change.router, dependencies=[WritableUnlessReadOnly])
# end slice: email-change
router.include_router(invitations.router, dependencies=[WritableUnlessReadOnly])
router.include_router(exports.router, dependencies=[WritableUnlessReadOnly])
router.include_router(lifecycle.router, dependencies=[WritableUnlessReadOnly])
router.include_router(recovery.router, dependencies=[WritableUnlessReadOnly])
router.include_router(totp.router, dependencies=[WritableUnlessReadOnly])
router.include_router(passkeys.router, dependencies=[WritableUnlessReadOnly])  # slice: passkeys
router.include_router(passkeys.login)  # slice: passkeys
router.include_router(oidc.router)  # slice: oidc
router.include_router(oidc.links, dependencies=[WritableUnlessReadOnly])  # slice: oidc
