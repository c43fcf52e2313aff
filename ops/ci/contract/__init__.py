"""Compares the API of the working tree with that of the last release."""
