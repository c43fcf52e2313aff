"""Business rules. They raise domain errors, never commit, and are independent of HTTP."""
