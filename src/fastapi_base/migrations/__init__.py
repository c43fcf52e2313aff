"""The database's history (Alembic). env.py and versions/ are run by Alembic as files."""
