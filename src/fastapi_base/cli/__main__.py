"""`python -m fastapi_base.cli`."""

from fastapi_base.cli.main import app

if __name__ == "__main__":
    app()
