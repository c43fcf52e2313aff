"""Response models of daily statistics."""
