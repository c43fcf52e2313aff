"""A production base for HTTP services: FastAPI, SQLModel on PostgreSQL, Redis, Celery."""

VERSION = "0.1.0"
