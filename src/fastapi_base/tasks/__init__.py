"""Background work: thin Celery tasks that call services."""
