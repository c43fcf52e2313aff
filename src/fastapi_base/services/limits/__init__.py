"""Rate limits, idempotency keys and limits on streams."""
