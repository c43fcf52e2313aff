"""The files of a resource, one module for each kind."""
