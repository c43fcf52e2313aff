"""Refreshes the lockfiles."""
