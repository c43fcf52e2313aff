"""The console: pages for superusers, rendered on the server. It is off unless CONSOLE_PATH is set.

Pages read and change everything through services, as the API does: each change has their
transaction, their audit event and their cache invalidation. The pages work without scripts.
"""
