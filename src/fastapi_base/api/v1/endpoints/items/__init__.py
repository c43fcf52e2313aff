"""Routes of the example resource."""
