"""What is said of a Kafka topic, from what the cluster tells about it."""

import pytest

from cki_notifier.doctor.cluster import Partition, Topic
from cki_notifier.doctor.finding import State
from cki_notifier.doctor.kafka import partitions, permissions

LED = Partition(0, is_led=True, in_sync=3, replicas=3)
BEHIND = Partition(1, is_led=True, in_sync=2, replicas=3)
HEADLESS = Partition(2, is_led=False, in_sync=0, replicas=3)


def topic(
    *partitions: Partition, allowed: set[str] | None = None, least_in_sync: int | None = None
) -> Topic:
    """Return a topic as the cluster tells of it."""
    return Topic(partitions, None if allowed is None else frozenset(allowed), least_in_sync)


@pytest.mark.parametrize(
    ("seen", "state", "text"),
    [
        (topic(LED), State.OK, "ready: 1 partition, all in sync"),
        (topic(LED, LED, least_in_sync=3), State.OK, "ready: 2 partitions, all in sync"),
        (
            topic(LED, BEHIND, least_in_sync=2),
            State.WARNING,
            "ready: the partitions 1 have replicas that are not in sync",
        ),
        (
            topic(LED, BEHIND, least_in_sync=3),
            State.FAILED,
            "ready: the partitions 1 have fewer replicas in sync than min.insync.replicas, 3",
        ),
        (
            topic(LED, HEADLESS, BEHIND),
            State.FAILED,
            "ready: nobody leads the partitions 2",
        ),
    ],
)
def test_a_topic_is_as_good_as_its_worst_partition(seen: Topic, state: State, text: str) -> None:
    """Without a leader, or with too few replicas in sync, nothing can be written."""
    finding = partitions("ready", seen)
    assert (finding.name, finding.state) == ("kafka topic", state)
    assert finding.text.partition(": Kafka refuses")[0] == text


@pytest.mark.parametrize(
    ("allowed", "state", "text"),
    [
        ({"write", "describe"}, State.OK, "we may write to ready"),
        (
            {"read", "describe"},
            State.FAILED,
            "we may not write to ready; allowed is: describe, read",
        ),
        (set(), State.FAILED, "we may not write to ready; allowed is: nothing"),
        (None, State.SKIPPED, "the cluster does not tell what we may do"),
    ],
)
def test_whether_we_may_write_is_asked_and_not_tried(
    allowed: set[str] | None, state: State, text: str
) -> None:
    """A cluster that is too old to tell is not held to forbid it."""
    finding, _ = permissions("ready", topic(LED, allowed=allowed))
    assert (finding.name, finding.state, finding.text) == ("kafka write", state, text)


@pytest.mark.parametrize(
    ("allowed", "state", "text"),
    [
        ({"write", "describe", "read"}, State.OK, "we may read ready"),
        (
            {"write", "describe"},
            State.WARNING,
            "we may not read ready; allowed is: describe, write",
        ),
        (None, State.SKIPPED, "the cluster does not tell what we may do"),
    ],
)
def test_who_may_not_read_the_topic_is_warned(
    allowed: set[str] | None, state: State, text: str
) -> None:
    """Without that right some messages are sent twice, and nothing is lost."""
    _, finding = permissions("ready", topic(LED, allowed=allowed))
    assert (finding.name, finding.state) == ("kafka read", state)
    assert finding.text.partition(". ")[0] == text
