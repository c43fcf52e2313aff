"""Commands for operators: `fastapi-base-migrate --help` lists them."""
