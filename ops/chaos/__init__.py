"""Breaks things under load, and counts what became of the jobs."""
