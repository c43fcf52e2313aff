revision = "9999"
down_revision = "0027"
branch_labels = depends_on = None


def upgrade() -> None:
    pass
