"""Result models of account exports."""
