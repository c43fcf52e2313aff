"""Injects faults under load, and counts the outcomes of the jobs."""
