"""The version of the API.

Generated from the OpenAPI description by `make clients`: changes here are lost.
"""

VERSION = "0.1.0"
