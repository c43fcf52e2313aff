"""Daily statistics."""
