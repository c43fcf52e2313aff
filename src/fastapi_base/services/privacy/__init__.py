"""Export and removal of an account's data."""
