"""Small tools that are independent of this service."""
