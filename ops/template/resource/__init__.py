"""New resources: vertical slices of the service."""
