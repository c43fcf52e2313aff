"""Names that a field or a resource cannot have, because something else has them already.

`tests/ops/template/resource/test_reserved.py` compares them with Pydantic, SQLModel and PostgreSQL.
"""

import builtins
import keyword

#: Columns of every resource.
COLUMNS = frozenset({"id", "owner_id", "version", "created_at", "updated_at"})
#: Parameters of lists, and members of the generated classes.
GENERATED = frozenset({"created_from", "created_before", "values", "changes"})
#: Parameters of every list, which a filter cannot have.
PAGING = frozenset({"limit", "cursor", "sort", "total"})
#: Names that the generated modules import and use where fields are declared.
IMPORTED = frozenset({"base", "col", "date", "datetime", "text", "uuid", "uuid7"})
#: Public attributes of Pydantic's BaseModel and of SQLModel.
MODEL = frozenset(
    {
        *("construct", "copy", "dict", "from_orm", "json", "metadata", "parse_file", "parse_obj"),
        *(
            "parse_raw",
            "schema",
            "schema_json",
            "sqlmodel_update",
            "update_forward_refs",
            "validate",
        ),
    }
)
#: The prefix of Pydantic's other attributes.
MODEL_PREFIX = "model_"
#: Words that PostgreSQL does not accept as the name of a column or a table without quotes.
SQL = frozenset(
    {
        *("all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric"),
        *("authorization", "binary", "both", "case", "cast", "check", "collate", "collation"),
        *("column", "concurrently", "constraint", "create", "cross", "current_catalog"),
        *("current_date", "current_role", "current_schema", "current_time"),
        *("current_timestamp", "current_user", "default", "deferrable", "desc", "distinct"),
        *("do", "else", "end", "except", "false", "fetch", "for", "foreign", "freeze", "from"),
        *("full", "grant", "group", "having", "ilike", "in", "initially", "inner"),
        *("intersect", "into", "is", "isnull", "join", "lateral", "leading", "left", "like"),
        *("limit", "localtime", "localtimestamp", "natural", "not", "notnull", "null"),
        *("offset", "on", "only", "or", "order", "outer", "overlaps", "placing", "primary"),
        *("references", "returning", "right", "select", "session_user", "similar", "some"),
        *("symmetric", "system_user", "table", "tablesample", "then", "to", "trailing"),
        *("true", "union", "unique", "user", "using", "variadic", "verbose", "when", "where"),
        *("window", "with"),
        # Reserved by earlier versions and by SQLAlchemy.
        *("between", "new", "of", "off", "old", "over"),
    }
)
#: Modules, functions and variables that the generated code or the files that it joins use.
USED = frozenset(
    {
        *("base", "body", "bodies", "caller", "changes", "client", "col", "connection"),
        *("count", "database", "owner", "page", "pages", "problem", "problems", "query"),
        *("quota", "resource", "resources", "response", "row", "rows", "router", "scope"),
        *("scopes", "service", "services", "session", "sessions", "statement", "statements"),
        *("text", "user", "users", "value", "values", "version", "versions"),
    }
)


def of_field(name: str) -> str | None:
    """What has this name already, for a field; None if nothing has."""
    if name in COLUMNS:
        return "a column of every resource"
    if name in MODEL or name.startswith(MODEL_PREFIX):
        return "an attribute of Pydantic's or SQLModel's models"
    if name in GENERATED or name in IMPORTED:
        return "used by the generated code"
    return _of_language(name) or ("a reserved word of SQL" if name in SQL else None)


def of_resource(singular: str, plural: str) -> str | None:
    """What has one of these names already, for a resource; None if nothing has."""
    for name in (singular, plural):
        if why := _of_language(name):
            return f"{name!r} is {why}"
        if name in USED:
            return f"{name!r} is used by the service's own code"
    if plural in SQL:
        return f"{plural!r} is a reserved word of SQL"
    return None


def _of_language(name: str) -> str | None:
    if keyword.iskeyword(name):
        return "a keyword of Python"
    return "a built-in name of Python" if hasattr(builtins, name) else None
