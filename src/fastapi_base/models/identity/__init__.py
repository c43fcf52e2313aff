"""Tables of accounts, sessions and authentication methods."""
