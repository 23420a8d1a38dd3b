"""Which texts were seen."""

from cki_notifier.notification.digests import Digests


def test_what_was_added_was_seen_and_nothing_else() -> None:
    """The parts are told apart; any text will do."""
    seen = Digests()
    assert seen.add("a", "bc")
    assert not seen.add("a", "bc")
    assert seen.has("a", "bc")
    assert not any(seen.has(*it) for it in (("ab", "c"), ("a",), ("abc",), ()))
    assert seen.add("\udfff")
    assert seen.has("\udfff")
    assert all(seen.add(str(number)) for number in range(10_000))
