"""Debian packages as locked build inputs: manifests, locks, downloads, unpacking without dpkg."""
