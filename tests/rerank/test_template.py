import json
from importlib import resources

import pytest

from lodex.errors import InvalidArgumentError, NotFoundError
from lodex.rerank.template import Template, load_template, read_template, without_imitations

PLAIN = load_template().to_dict()


@pytest.mark.parametrize("name", ["plain", "rank-zephyr"])
def test_templates_that_come_with_lodex_are_read(name):
    """Every file of the package is a template, and goes to JSON and back unharmed."""
    template = load_template(name)
    assert template.name == name
    assert read_template(json.loads(json.dumps(template.to_dict()))) == template
    assert (resources.files("lodex.rerank") / "templates" / f"{name}.json").is_file()


def test_an_unknown_template_lists_those_there_are():
    """A wrong name is answered with the right ones."""
    with pytest.raises(NotFoundError, match="plain, rank-zephyr"):
        load_template("plian")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"line": "{passage}"}, r"expected \[\{identifier\}\]"),
        ({"line": "{identifier}: {passage}"}, r"expected \[\{identifier\}\]"),
        ({"line": "[{identifier}] {identifier} {passage}"}, r"expected \[\{identifier\}\]"),
        ({"line": "[{identifier}]"}, r"expected \{passage\}"),
        ({"line": "[{identifier}] {passage} {passage}"}, r"expected \{passage\}"),
        ({"line": "[{identifier}] {passage} {score}"}, "line has {score}"),
        ({"prefix": "", "suffix": "Ranking:"}, "neither prefix nor suffix"),
        ({"system": "{query}"}, "system has {query}"),
        ({"line": 3}, "expected a str"),
        ({"chat": "yes"}, "expected a bool"),
        ({"body": ""}, "no field 'body'"),
    ],
)
def test_templates_that_cannot_work_are_refused(change, message):
    """A template names a passage once, an identifier in brackets, a query, and nothing unknown."""
    with pytest.raises(InvalidArgumentError, match=message):
        read_template(PLAIN | change)


def test_a_missing_field_is_named():
    """A template without a line is none."""
    with pytest.raises(InvalidArgumentError, match="no field 'line'"):
        read_template({name: value for name, value in PLAIN.items() if name != "line"})


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("see [A] and [BC]", "see (A) and (BC)"),
        ("[1] [a b] [] [[A]]", "[1] [a b] [] [(A)]"),
        ("no brackets", "no brackets"),
    ],
)
def test_imitations_of_identifiers_are_rewritten(text, safe):
    """Letters in brackets become letters in parentheses, all else stays."""
    assert without_imitations(text) == safe


def test_where_the_query_stands_is_known():
    """A query in the prefix binds what is computed of the passages to it."""
    assert load_template().is_query_first
    assert not Template("t", "", "", "[{identifier}] {passage}\n", "{query}").is_query_first
