"""Measurements, as ratios against a limit in one run."""
