"""All routes of version 1."""

from fastapi import APIRouter

from fastapi_base.api.v1.endpoints import auth, jobs, sessions, users

router = APIRouter(prefix="/api/v1")
# The busiest first: the router tries them in this order.
router.include_router(users.router)
router.include_router(jobs.router)
router.include_router(auth.router)
router.include_router(sessions.router)
