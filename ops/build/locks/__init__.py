"""Lockfiles of Python and Debian packages: refreshed, or changed one package at a time."""
