"""The status page of `make up`: running processes, their health, and links."""
