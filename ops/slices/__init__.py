"""Slices of the service that can be taken out."""
