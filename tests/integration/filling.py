"""Unevenly distributed rows for every listed table.

Most rows belong to one account and few to another; some states, kinds and actions are common and
others rare; most rows are finished or expired.

Tests of plans need enough rows for PostgreSQL and its statistics to choose the plans that it would
choose for a million.
"""

import uuid

from tests.integration.items_rows import ITEMS  # slice: items

HEAVY, LIGHT, ROOT = (uuid.UUID(int=n) for n in (1, 2, 3))
EMAILS = {HEAVY: "heavy@example.com", LIGHT: "light@example.com", ROOT: "root@example.com"}

# By table, in the order of their foreign keys.
ROWS = {
    "users": """
        INSERT INTO users (id, email, password_hash, is_active, is_superuser, created_at)
        SELECT gen_random_uuid(), md5(n::text) || '@example.com', 'x', n % 5000 <> 0, false,
            now() - n * interval '1 minute'
        FROM generate_series(1, :rows) AS n
    """,
    "jobs": """
        INSERT INTO jobs (id, kind, version, payload, queue, priority, state, owner_id,
            max_attempts, created_at, run_at, finished_at)
        SELECT gen_random_uuid(),
            CASE WHEN n % 20000 = 11 THEN 'account-export' WHEN n % 3 = 0 THEN 'mail'
                ELSE 'word-count' END,
            1, '{}', 'fastapi-base', 5, state,
            CASE WHEN n % 100 = 0 THEN ':light' WHEN n % 4 > 1 THEN ':heavy' END::uuid,
            3, now() - n * interval '1 second', now() - n * interval '1 second',
            CASE WHEN state <> 'queued' THEN now() - n * interval '0.5 seconds' END
        FROM generate_series(1, :rows) AS n, LATERAL (SELECT
            CASE WHEN n % 15000 = 2 THEN 'failed' WHEN n % 100 = 6 THEN 'cancelled'
                WHEN n % 50 = 7 THEN 'queued' ELSE 'succeeded' END AS state) AS of_it
    """,
    "audit_events": """
        INSERT INTO audit_events (id, occurred_at, action, actor_id, subject_id)
        SELECT gen_random_uuid(), now() - n * interval '1 second',
            CASE WHEN n % 15000 = 1 THEN 'account.deleted' WHEN n % 2 = 0 THEN 'login.failed'
                ELSE 'login.succeeded' END,
            CASE WHEN n % 15001 = 2 THEN ':root' WHEN n % 3 > 0 THEN ':heavy' END::uuid,
            CASE WHEN n % 100 = 2 THEN ':light' ELSE ':heavy' END::uuid
        FROM generate_series(1, :rows) AS n
    """,
    # One in two is revoked; nearly all others are expired.
    "sessions": """
        INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at, revoked_at)
        SELECT gen_random_uuid(), ':heavy', now() - n * interval '1 minute',
            now() - n * interval '1 minute',
            now() + CASE WHEN n % 2 = 0 AND n % 200 > 0 THEN -n * interval '1 second'
                ELSE interval '1 day' END,
            CASE WHEN n % 2 = 1 THEN now() END
        FROM generate_series(1, :rows) AS n
    """,
    "api_keys": """
        INSERT INTO api_keys (id, user_id, name, start, digest, scopes, created_at, expires_at,
            last_used_at, revoked_at)
        SELECT gen_random_uuid(), ':heavy', 'k', 'fb_', decode(md5(n::text), 'hex'), '{jobs:read}',
            now() - n * interval '1 second',
            now() + CASE WHEN n % 2 = 0 THEN -interval '1 hour' ELSE interval '30 days' END,
            CASE WHEN n % 3 > 0 THEN now() - n * interval '1 minute' END,
            CASE WHEN n % 2 = 1 AND n > 90 THEN now() END
        FROM generate_series(1, :rows) AS n
    """,
    "invitations": """
        INSERT INTO invitations (id, email, digest, created_at, expires_at, accepted_at)
        SELECT gen_random_uuid(), n || '@invited.example.com', decode(md5(n::text), 'hex'),
            now() - n * interval '1 second',
            now() + CASE WHEN n % 2 = 0 THEN -interval '1 hour' ELSE interval '7 days' END,
            CASE WHEN n % 2 = 1 AND n % 200 > 1 THEN now() END
        FROM generate_series(1, :rows) AS n
    """,
    # begin slice: passkeys
    # More than the service allows for one account.
    "passkeys": """
        INSERT INTO passkeys (id, user_id, credential_id, public_key, sign_count, name, backed_up)
        SELECT gen_random_uuid(), CASE WHEN n % 5 > 0 THEN ':heavy' ELSE ':light' END::uuid,
            decode(md5(n::text), 'hex'), '', 0, 'k', false
        FROM generate_series(1, :rows / 8) AS n
    """,
    # end slice: passkeys
    # begin slice: oidc
    "external_identities": """
        INSERT INTO external_identities (id, user_id, issuer, subject, provider)
        SELECT gen_random_uuid(), CASE WHEN n % 5 > 0 THEN ':heavy' ELSE ':light' END::uuid,
            'https://' || n || '.example.com', n, 'p'
        FROM generate_series(1, :rows / 8) AS n
    """,
    # end slice: oidc
    # begin slice: statistics
    "day_statistics": """
        INSERT INTO day_statistics (day, figures, computed_at)
        SELECT date '3000-01-01' - n, '{}', now() FROM generate_series(1, :rows / 8) AS n
    """,
    # end slice: statistics
    # begin slice: email-change
    "email_changes": """
        INSERT INTO email_changes (user_id, old_email, new_email, expires_at)
        SELECT id, email, email, now() + interval '1 day' FROM users
    """,
    # end slice: email-change
}
ROWS["items"] = ITEMS  # slice: items


def statements(rows: int, password_hash: str) -> list[str]:
    """The SQL that adds the accounts, and then this many rows to each table."""
    accounts = ", ".join(
        f"('{account}', '{email}', '{password_hash}', {str(account == ROOT).lower()})"
        for account, email in EMAILS.items()
    )
    head = "INSERT INTO users (id, email, password_hash, is_superuser) VALUES "
    names = {"rows": rows, "heavy": HEAVY, "light": LIGHT, "root": ROOT}
    found = [head + accounts]
    for sql in ROWS.values():
        for name, value in names.items():
            sql = sql.replace(f":{name}", str(value))
        found.append(sql)
    return found
