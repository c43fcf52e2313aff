"""Background jobs: enqueued with what they belong to, run at least once, taking effect once.

`kinds` says what a kind of job is, `enqueue` adds one, `outbox` is what the relay asks, `runner`
what a worker does, `queries` what callers see and may change.
"""
