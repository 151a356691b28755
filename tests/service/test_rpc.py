"""The table of RPCs, read from the descriptors."""

import pytest

from lodex.service.rpc import OPERATIONS, SERVICES, all_rpcs, snake_case


class NgramHandler:
    """Has one method of its service."""

    async def infgram_next_token_distribution(self, request: object, call: object) -> None:
        """Never called."""


class GuessHandler:
    """Has no service."""


def test_every_method_of_every_service_is_in_the_table() -> None:
    """A method that is added to a proto is at least refused by name."""
    rpcs = all_rpcs([])
    assert set(rpcs) == {
        (name, method.name)
        for name, service in {**SERVICES, OPERATIONS.full_name: OPERATIONS}.items()
        for method in service.methods
    }
    assert all(rpc.answer is None for rpc in rpcs.values())


def test_handlers_are_found_by_name() -> None:
    """NgramHandler.infgram_next_token_distribution answers NgramService/InfgramNextTokenDistribution."""
    rpcs = all_rpcs([NgramHandler()])
    built = [rpc.path for rpc in rpcs.values() if rpc.answer]
    assert built == ["/lodex.v1.NgramService/InfgramNextTokenDistribution"]


def test_a_handler_without_a_service_is_a_bug() -> None:
    """A misnamed class would never be called."""
    with pytest.raises(AssertionError):
        all_rpcs([GuessHandler()])


def test_names_become_snake_case() -> None:
    """As Python writes them."""
    assert snake_case("Count") == "count"
    assert snake_case("InfgramNextTokenDistribution") == "infgram_next_token_distribution"
