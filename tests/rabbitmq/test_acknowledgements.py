"""As few acknowledgements as AMQP allows, and never one for what is not settled."""

from hypothesis import given
from hypothesis import strategies as st

from cki_notifier.rabbitmq.consume import SettledTags
from tests.properties import PATIENT


def taken(settled: SettledTags, *tags: int) -> tuple[int, tuple[int, ...]]:
    """Add tags and take what is due."""
    for tag in tags:
        settled.add(tag)
    return settled.take()


def test_what_is_settled_in_order_needs_one_acknowledgement() -> None:
    """The last tag stands for all before it."""
    settled = SettledTags()
    assert taken(settled, 1, 2, 3) == (3, ())
    assert taken(settled, 4) == (4, ())


def test_what_overtook_is_acknowledged_by_itself() -> None:
    """A slow notification holds no other back."""
    settled = SettledTags()
    assert taken(settled, 2, 4) == (0, (2, 4))
    assert taken(settled, 3, 1, 6) == (3, (6,))
    assert taken(settled, 5) == (5, ())


def test_no_tag_is_named_twice() -> None:
    """RabbitMQ closes the channel for it, even where ``multiple`` is meant for those before."""
    settled = SettledTags()
    assert taken(settled, 2, 3) == (0, (2, 3))
    assert taken(settled, 1) == (1, ())


def test_nothing_new_needs_nothing() -> None:
    """A flush that finds nothing tells nothing."""
    settled = SettledTags()
    assert settled.take() == (0, ())
    taken(settled, 1)
    assert settled.take() == (0, ())


def test_only_the_first_one_calls_for_a_flush() -> None:
    """One flush takes all along that were settled before it."""
    settled = SettledTags()
    assert [settled.add(1), settled.add(2)] == [True, False]
    settled.take()
    assert settled.add(3)


@PATIENT
@given(st.permutations(range(1, 30)), st.data())
def test_exactly_what_is_settled_is_acknowledged(order: list[int], data: st.DataObject) -> None:
    """In any order and portions, RabbitMQ keeps each notification that is in flight."""
    settled, told = SettledTags(), set[int]()
    while order:
        size = data.draw(st.integers(1, len(order)))
        portion, order = order[:size], order[size:]
        through, singly = taken(settled, *portion)
        assert not told & {through, *singly}
        told |= set(range(1, through + 1)) | set(singly)
        assert not told & set(order)
    assert told == set(range(1, 30))
