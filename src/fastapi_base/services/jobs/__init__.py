"""Background jobs: transactional outbox, at-least-once execution, exactly-once effects.

`kinds` defines kinds of jobs, `enqueue` adds a job, `outbox` holds the relay's queries, `runner`
runs a job in a worker, `deaths` recovers jobs whose process died, `queries` serves callers.
"""
