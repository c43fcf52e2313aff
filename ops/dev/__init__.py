"""`make up`: the whole service in the foreground, on embedded PostgreSQL and Redis."""
