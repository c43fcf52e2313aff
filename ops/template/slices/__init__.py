"""Removable slices of the service."""
