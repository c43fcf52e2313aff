"""Routes of daily statistics."""
