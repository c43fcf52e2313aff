"""Tables of the example resource."""
