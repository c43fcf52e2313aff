"""Believable rows for development databases (`make seed`), and factories of models for tests."""
