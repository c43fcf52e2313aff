"""Feature flags at run time."""
