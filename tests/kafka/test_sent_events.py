"""What Kafka confirmed lately."""

from cki_notifier.kafka.sent_events import SentEvents


def test_what_was_sent_is_remembered() -> None:
    """An id that was added is known, another one is not."""
    recent = SentEvents()
    recent.add("a")
    assert "a" in recent
    assert "b" not in recent


def test_only_so_many_are_remembered() -> None:
    """However many are sent, the memory stays bounded: the oldest are forgotten."""
    recent = SentEvents()
    for number in range(25_000):
        recent.add(str(number))
    known = sum(str(number) in recent for number in range(25_000))
    assert 1000 < known < 25_000
    assert "24999" in recent
    assert "0" not in recent
