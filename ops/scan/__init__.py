"""Looks for secrets in files, licences, advisories, and packages that Debian has replaced."""
