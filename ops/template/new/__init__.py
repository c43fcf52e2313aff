"""Creates a renamed repository from this one."""
