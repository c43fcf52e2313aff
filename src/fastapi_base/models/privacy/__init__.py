"""Tables of exported data."""
