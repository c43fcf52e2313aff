"""How the API is served: what the machine gives, and how connections are read."""
