"""What NAME, FIELDS and PLURAL may be, and what is said about the rest."""

import pytest

from ops.template.resource.kinds import ResourceError
from ops.template.resource.names import Names, plural_of
from ops.template.resource.specification import Resource, indexes, parse

EXISTING = {"customer": Names("customer", "customers"), "person": Names("person", "people")}


def resource(fields: str, name: str = "order", plural: str = "") -> Resource:
    return parse(name, fields, plural, EXISTING)


@pytest.mark.parametrize(
    ("singular", "plural"),
    [
        *(("order", "orders"), ("category", "categories"), ("address", "addresses")),
        *(("box", "boxes"), ("day", "days"), ("branch", "branches"), ("dish", "dishes")),
        *(("quiz", "quizes"), ("order_line", "order_lines"), ("status", "statuses")),
    ],
)
def test_plurals_follow_the_rules_of_english(singular: str, plural: str) -> None:
    assert plural_of(singular) == plural


def test_forms_of_a_name() -> None:
    names = resource("title:str", "order_line").names
    assert (names.plural, names.model, names.models) == ("order_lines", "OrderLine", "OrderLines")
    assert (names.path, names.words, names.an) == ("order-lines", "order line", "an order line")
    assert resource("title:str", "person", "people").names.plural == "people"


def test_fields_are_read_with_their_marks() -> None:
    made = resource(
        " number:str(80)!  total:decimal(10, 2) customer:ref(customer)? by:ref( person ) "
    )
    assert [(one.name, one.unique, one.optional) for one in made.fields] == [
        ("number", True, False),
        ("total", False, False),
        ("customer_id", False, True),
        ("by_id", False, False),
    ]
    assert [one.target for one in made.refs] == [EXISTING["customer"], EXISTING["person"]]
    assert made.fields[1].kind.column == "sa.Numeric(10, 2)"
    (both,) = resource("number:str?! title:str").fields[:1]
    assert (both.unique, both.optional) == (True, True)


def test_each_set_of_filters_and_each_ref_has_an_index() -> None:
    made = resource("title:str a:bool kind:enum(x,y) c:bool by:ref(person) to:ref(customer)!")
    assert [one.name for one in made.filters] == ["a", "kind"]
    assert indexes(made) == [
        ("ix_orders_list", ("owner_id", "created_at", "id")),
        ("ix_orders_list_a", ("owner_id", "a", "created_at", "id")),
        ("ix_orders_list_kind", ("owner_id", "kind", "created_at", "id")),
        ("ix_orders_list_a_kind", ("owner_id", "a", "kind", "created_at", "id")),
        # The unique constraint is the index of the other one.
        ("ix_orders_by_id", ("owner_id", "by_id")),
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("", "FIELDS is empty"),
        ("   ", "FIELDS is empty"),
        ("title", "title: must look like name:type"),
        ("title:", "'' is no type; there are: str, text"),
        (":str", "the name must consist of"),
        ("title:str:int", "must look like name:type"),
        ("title:str(80", "must look like name:type"),
        ("title:str)", "must look like name:type"),
        ("title:str(8)(9)", "must look like name:type"),
        ("title:str!!", "! and ? may occur once"),
        ("title:str!?!", "! and ? may occur once"),
        ("ti-tle:str", "the name must consist of"),
        ("Title:str", "the name must consist of"),
        ("_title:str", "the name must consist of"),
        ("a__b:str", "the name must consist of"),
        ("2nd:str", "the name must consist of"),
        ("tïtle:str", "the name must consist of"),
        ('ti"tle:str', "the name must consist of"),
        ("title:str;", "'str;' is no type"),
        ("title:varchar", "'varchar' is no type"),
        ("title:STR", "'STR' is no type"),
        ("title:str title:int", "there is already a field title"),
        ("title:str by:ref(person) by_id:uuid", "there is already a field by_id"),
        ("id:uuid", "a column of every resource; choose another, such as order_id"),
        ("owner_id:uuid", "a column of every resource"),
        ("owner:ref(person)", "a column of every resource"),
        ("created_at:date", "a column of every resource"),
        ("version:int", "a column of every resource"),
        ("class:str", "a keyword of Python"),
        ("lambda:str", "a keyword of Python"),
        ("type:str", "a built-in name of Python"),
        ("metadata:json", "an attribute of Pydantic's or SQLModel's models"),
        ("model_config:json", "an attribute of Pydantic's or SQLModel's models"),
        ("copy:bool", "an attribute of Pydantic's or SQLModel's models"),
        ("json:json", "an attribute of Pydantic's or SQLModel's models"),
        ("schema:str", "an attribute of Pydantic's or SQLModel's models"),
        ("select:str", "a reserved word of SQL"),
        ("user:str", "a reserved word of SQL"),
        ("date:date", "used by the generated code"),
        ("text:text", "used by the generated code"),
        ("values:json", "used by the generated code"),
        ("created_from:date", "used by the generated code"),
        ("sort:enum(a,b)", "a parameter of lists"),
        ("limit:bool", "a reserved word of SQL"),
        ("title:str(0)", "str takes a length from 1 to 500"),
        ("title:str(501)", "str takes a length from 1 to 500"),
        ("title:str(x)", "str takes a length from 1 to 500"),
        ("title:str(1,2)", "str takes a length from 1 to 500"),
        ("title:str()", "str takes a length from 1 to 500"),
        ("title:str(²)", "str takes a length from 1 to 500"),
        ("note:text(100001)", "text takes a length from 1 to 100000"),
        ("total:decimal(5)", "decimal takes digits and places, such as decimal(12,2)"),
        ("total:decimal(2,3)", "decimal(2,3) must have 1 to 38 digits"),
        ("total:decimal(39,2)", "decimal(39,2) must have 1 to 38 digits"),
        ("total:decimal(-1,0)", "decimal takes digits and places"),
        ("many:int(4)", "this type takes nothing in parentheses"),
        ("status:enum", "enum takes 2 to 50 values"),
        ("status:enum(open)", "enum takes 2 to 50 values"),
        ("status:enum(open,open)", "the value 'open' occurs twice"),
        ("status:enum(open,)", "the value '' must consist of"),
        ("status:enum(open,not-paid)", "the value 'not-paid' must consist of"),
        ("status:enum(open,it's)", 'the value "it\'s" must consist of'),
        ("status:enum(open,Paid)", "the value 'Paid' must consist of"),
        (f"status:enum(open,{'x' * 41})", "at most 40 characters"),
        ("x:enum(a,b)", "words of two letters or more"),
        ("customer:ref", "ref takes the name of a resource"),
        ("customer:ref(a,b)", "ref takes the name of a resource"),
        ("customer:ref(client)", "no resource 'client' was made by `make resource`"),
        ("parent:ref(order)", "order cannot refer to itself"),
        ("total:decimal!", "decimal cannot be unique; these types can: bigint, date"),
        ("note:text!", "text cannot be unique"),
        ("title:str?", "a field that is required and no ref"),
        ("by:ref(person)", "a field that is required and no ref"),
        ("x" * 63 + ":str!", "would have"),
        ("x" * 64 + ":str", "64 bytes; at most 63"),
        (" ".join(f"a{n}:int" for n in range(31)), "31 fields; at most 30"),
        ("a" * 5000, "5000 characters; at most 4000"),
        ("(" * 3000, "at most 30"),
    ],
)
def test_wrong_fields_are_named(fields: str, said: str) -> None:
    with pytest.raises(ResourceError) as error:
        resource(fields)
    assert said in str(error.value)
    assert len(str(error.value)) < 6000


@pytest.mark.parametrize(
    ("name", "plural", "said"),
    [
        ("Order", "", "NAME=Order: must be one to three words of lower-case letters"),
        ("order-line", "", "must be one to three words"),
        ("order2", "", "must be one to three words"),
        ("a_b", "", "must be one to three words"),
        ("one_two_three_four", "", "must be one to three words"),
        ("order\n", "", "must be one to three words"),
        ("../order", "", "must be one to three words"),
        ("x" * 21, "", "has 21 characters; at most 20"),
        ("orders", "", "looks like a plural; give the singular, or PLURAL=orderses"),
        ("order", "Orders", "PLURAL=Orders: must be one to three words"),
        ("sheep", "sheep", "PLURAL=sheep: must differ from NAME"),
        ("class", "", "'class' is a keyword of Python"),
        ("list", "", "'list' is a built-in name of Python"),
        ("session", "", "'session' is used by the service's own code"),
        ("page", "", "'page' is used by the service's own code"),
        ("thing", "order", "'order' is a reserved word of SQL"),
    ],
)
def test_wrong_names_are_refused(name: str, plural: str, said: str) -> None:
    with pytest.raises(ResourceError) as error:
        resource("title:str", name, plural)
    assert said in str(error.value)


def test_names_too_long_for_postgresql_are_refused() -> None:
    fields = "title:str a_rather_long_word:bool another_word_that_is_longer:enum(a,b)"
    assert len(indexes(resource("title:str a_rather_long_word:bool"))) == 2
    with pytest.raises(ResourceError, match="at most 63: choose shorter names"):
        resource(fields, "order_line")
