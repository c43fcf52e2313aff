"""Formatting of generated and edited trees."""
