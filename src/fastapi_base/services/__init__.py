"""Business rules. They raise domain errors, never commit, and know no HTTP."""
