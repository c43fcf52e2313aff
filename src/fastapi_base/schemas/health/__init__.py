"""Response models of health checks."""
