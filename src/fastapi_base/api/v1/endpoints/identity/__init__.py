"""Routes for accounts, sessions and authentication methods."""
