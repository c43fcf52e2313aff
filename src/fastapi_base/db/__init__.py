"""PostgreSQL: engine, units of work, health."""
