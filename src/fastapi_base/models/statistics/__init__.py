"""Tables of daily statistics."""
