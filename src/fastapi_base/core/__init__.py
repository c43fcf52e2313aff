"""Configuration, security, logging, errors: the lowest layer. It imports no other layer."""
