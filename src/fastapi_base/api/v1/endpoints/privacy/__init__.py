"""Routes of account exports."""
