"""Background work: thin tasks that call services."""
