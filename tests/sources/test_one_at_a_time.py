"""Who may go on when only one may at a time."""

from cki_notifier.sources.one_at_a_time import OneAtATime


def test_one_has_the_turn_until_it_leaves() -> None:
    """Others wait, and asking again changes nothing."""
    turns: OneAtATime[str] = OneAtATime()
    assert turns.take("a")
    assert turns.take("a")
    assert not turns.take("b")
    assert not turns.take("b")
    assert turns.leave("a") == "b"
    assert turns.take("b")
    assert turns.leave("b") is None
    assert turns.take("c")


def test_the_turn_goes_to_who_asked_first() -> None:
    """The order of asking is the order of turns."""
    turns: OneAtATime[str] = OneAtATime()
    assert [turns.take(it) for it in "abc"] == [True, False, False]
    assert [turns.leave("a"), turns.leave("b"), turns.leave("c")] == ["b", "c", None]


def test_who_leaves_while_waiting_gets_no_turn() -> None:
    """Nor does it take one from anybody."""
    turns: OneAtATime[str] = OneAtATime()
    assert [turns.take(it) for it in "abc"] == [True, False, False]
    assert turns.leave("b") is None
    assert turns.leave("stranger") is None
    assert turns.leave("a") == "c"
