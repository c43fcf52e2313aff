"""Redis and the message broker."""
