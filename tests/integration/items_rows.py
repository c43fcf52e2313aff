"""Items for the tests of list plans."""

# Some belong to many other accounts, so that PostgreSQL expects few rows of most accounts.
ITEMS = """
    INSERT INTO items (id, owner_id, title, created_at, updated_at, deleted_at)
    SELECT gen_random_uuid(),
        CASE WHEN n % 100 = 0 THEN ':light' ELSE ':heavy' END::uuid,
        CASE WHEN n % 20000 = 7 THEN 'rare ' ELSE 'item ' END || md5(n::text),
        now() - n * interval '1 minute',
        now() - (n::bigint * 7919 % :rows) * interval '1 minute',
        CASE WHEN n % 10 = 3 THEN now() END
    FROM generate_series(1, :rows) AS n
    LEFT JOIN (SELECT id, 20 * row_number() OVER () AS number FROM users) AS other ON number = n
"""
