"""Backup and recovery of PostgreSQL."""
