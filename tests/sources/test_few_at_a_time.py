"""Who may go on when only a few may at a time."""

from cki_notifier.sources.few_at_a_time import FewAtATime


def test_one_has_the_turn_until_it_leaves() -> None:
    """Others wait, and asking again changes nothing."""
    turns: FewAtATime[str] = FewAtATime(1)
    assert turns.take("a")
    assert turns.take("a")
    assert not turns.take("b")
    assert not turns.take("b")
    assert turns.waiting == ("b",)
    assert turns.leave("a") == "b"
    assert turns.take("b")
    assert turns.leave("b") is None
    assert turns.take("c")


def test_the_turn_goes_to_who_asked_first() -> None:
    """The order of asking is the order of turns."""
    turns: FewAtATime[str] = FewAtATime(1)
    assert [turns.take(it) for it in "abc"] == [True, False, False]
    assert [turns.leave("a"), turns.leave("b"), turns.leave("c")] == ["b", "c", None]


def test_who_leaves_while_waiting_gets_no_turn() -> None:
    """Nor does it take one from anybody."""
    turns: FewAtATime[str] = FewAtATime(1)
    assert [turns.take(it) for it in "abc"] == [True, False, False]
    assert turns.leave("b") is None
    assert turns.leave("stranger") is None
    assert turns.leave("a") == "c"


def test_as_many_have_one_as_there_are_turns() -> None:
    """One that never leaves holds up nobody as long as there is another turn."""
    turns: FewAtATime[str] = FewAtATime(2)
    assert [turns.take(it) for it in "abcd"] == [True, True, False, False]
    assert [turns.leave("b"), turns.leave("c"), turns.leave("d")] == ["c", "d", None]
    assert turns.take("e")
