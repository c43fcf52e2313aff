"""Configuration, security, logging, errors: the lowest floor. It imports no other room."""
