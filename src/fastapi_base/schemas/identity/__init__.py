"""Request and response models of accounts, sessions and authentication methods."""
