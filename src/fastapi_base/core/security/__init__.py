"""Passwords, tokens, keys and TLS: the primitives, without I/O at import."""
