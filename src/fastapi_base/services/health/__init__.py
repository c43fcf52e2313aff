"""Health of the processes and the servers they use."""
