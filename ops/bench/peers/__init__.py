"""Other projects, run from a checkout to be measured beside ours: `make bench ARGS="--peer ..."`.

An adapter says how a project is run and asked, by its own documents. It holds none of its code.
"""
