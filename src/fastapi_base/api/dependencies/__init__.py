"""Dependencies of routes."""
