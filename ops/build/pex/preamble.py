"""Runs in the Pex executable before Pex: undoes two habits of Pants 2.17 that Pex 2.105 refuses."""

import os
import sys

# Pants hands its own CPython 3.9 down as PEX_PYTHON with every call, and this Pex then refuses to
# look for the CPython 3.13 that the command line asks for. `pants export` sets PEX_MODULE beside
# it, and does mean it.
if "PEX_MODULE" not in os.environ and os.environ.get("PEX_PYTHON") == sys.executable:
    del os.environ["PEX_PYTHON"]

# Of the pips that run on CPython 3.13, Pants' option [python] pip_version can name "latest" alone.
PIP_VERSION = "26.2.1"
for position, argument in enumerate(sys.argv[:-1]):
    if argument == "--pip-version" and sys.argv[position + 1] == "latest":
        sys.argv[position + 1] = PIP_VERSION
