"""Background work of a process, thread pools, and shutdown."""
