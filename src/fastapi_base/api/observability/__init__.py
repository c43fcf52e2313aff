"""Metrics, traces and error reports of requests."""
