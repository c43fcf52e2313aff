"""Response models and filters of the audit log."""
