"""Routes, one package per domain."""
