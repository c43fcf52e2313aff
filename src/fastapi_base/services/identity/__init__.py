"""Accounts, sessions and authentication methods."""
