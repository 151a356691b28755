"""Page tokens and page sizes."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lodex.errors import InvalidArgumentError
from lodex.service.paging import Page, decode_page, encode_page, page_size
from lodex.v1 import datastore_pb2


def listing(store: str = "docs") -> datastore_pb2.ListIndexesRequest:
    request = datastore_pb2.ListIndexesRequest()
    request.target.store = store
    return request


@given(st.text(), st.integers(0, 2**62))
def test_a_token_leads_back_to_its_page(cursor: str, version: int) -> None:
    """Whatever the cursor and the version, and as text that is safe in an address."""
    token = encode_page(Page(cursor, version), listing())
    assert token.replace("-", "").replace("_", "").isalnum()
    assert decode_page(token, listing(), "page_token") == Page(cursor, version)


def test_no_token_is_the_first_page() -> None:
    """An absent field and an empty one are the same."""
    assert decode_page("", listing(), "page_token") == Page("")


@given(st.text(min_size=1))
def test_what_is_no_token_is_refused(text: str) -> None:
    """Never guessed at; the field is named."""
    with pytest.raises(InvalidArgumentError) as caught:
        decode_page(text, listing(), "queries[2].page_token")
    assert caught.value.field == "queries[2].page_token"


@pytest.mark.parametrize("value", ["[]", '["a"]', '[1,1,"x"]', '["a",-1,"x"]', '{"a":1}', "7", "[[[["])
def test_json_of_another_shape_is_refused(value: str) -> None:
    """A token is not believed because it decodes."""
    with pytest.raises(InvalidArgumentError, match="not a page token"):
        decode_page(base64.urlsafe_b64encode(value.encode()).decode().rstrip("="), listing(), "page_token")


def test_a_token_of_another_request_is_refused() -> None:
    """Changed arguments would make the listing skip or repeat."""
    token = encode_page(Page("a", 3), listing("docs"))
    with pytest.raises(InvalidArgumentError, match="another request"):
        decode_page(token, listing("source"), "page_token")


def test_a_page_has_its_default_and_its_limit() -> None:
    """0 stands for the default, too much for the limit, less than nothing is refused."""
    assert page_size(0, 10, 1000) == 10
    assert page_size(5000, 10, 1000) == 1000
    with pytest.raises(InvalidArgumentError):
        page_size(-1, 10, 1000)
