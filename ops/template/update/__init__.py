"""Brings later changes of the base into a repository that was created from it."""
