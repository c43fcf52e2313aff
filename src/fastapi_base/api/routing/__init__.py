"""Compiled request plans and dispatch, with FastAPI as the fallback."""
