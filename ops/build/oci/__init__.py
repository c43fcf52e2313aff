"""OCI images as plain files: layers, configurations, archives. No daemon, no registry, no root.

Every function here turns the same inputs into the same bytes, on any machine.
"""
