"""Lockfiles of Python, npm and Debian packages: refreshed, or changed one package at a time."""
