"""E-mails: requested, rendered, sent."""
