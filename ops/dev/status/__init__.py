"""The status page of `make up`: what runs, how it is, where everything is."""
