"""The example resource."""
