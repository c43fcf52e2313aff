"""Other projects, run from a checkout as peers: `make bench ARGS="--peer ..."`.

An adapter describes how a project is run and called, following its own documentation. It contains
none of its code.
"""
