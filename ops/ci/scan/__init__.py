"""Checks for secrets, licences, advisories, and outdated Debian packages."""
