"""The API server: limits of the machine and the HTTP protocol."""
