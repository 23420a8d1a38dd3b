"""The findings about a Kafka topic, from the cluster's description of it."""

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it has no list of its names
    PartitionMetadata,
)

from cki_notifier.doctor.check import State
from cki_notifier.doctor.kafka import partitions, permissions


def partition(number: int, in_sync: int, leader: int = 0) -> PartitionMetadata:
    """Return a partition with three replicas, as the cluster describes it."""
    told = PartitionMetadata()
    told.id, told.leader = number, leader
    told.replicas, told.isrs = [0, 1, 2], list(range(in_sync))
    return told


LED, BEHIND, HEADLESS = partition(0, 3), partition(1, 2), partition(2, 0, leader=-1)


@pytest.mark.parametrize(
    ("seen", "least", "state", "text"),
    [
        ([LED], None, State.OK, "ready: 1 partition, all in sync"),
        ([LED, LED], 3, State.OK, "ready: 2 partitions, all in sync"),
        (
            [LED, BEHIND],
            2,
            State.WARNING,
            "ready: replicas out of sync for partition 1",
        ),
        (
            [LED, BEHIND],
            3,
            State.FAILED,
            "ready: fewer in-sync replicas than min.insync.replicas (3) for partition 1",
        ),
        (
            [LED, HEADLESS, BEHIND],
            None,
            State.FAILED,
            "ready: no leader for partition 2",
        ),
    ],
)
def test_a_topic_is_as_good_as_its_worst_partition(
    seen: list[PartitionMetadata], least: int | None, state: State, text: str
) -> None:
    """Without a leader, or with too few replicas in sync, nothing can be written."""
    finding = partitions("ready", seen, least)
    assert (finding.name, finding.state) == ("kafka topic", state)
    assert finding.text.partition(": Kafka refuses")[0] == text


@pytest.mark.parametrize(
    ("allowed", "state", "text"),
    [
        ({"write", "describe"}, State.OK, "the user may write to ready"),
        (
            {"read", "describe"},
            State.FAILED,
            "the user may not write to ready; allowed operations: describe, read",
        ),
        (set(), State.FAILED, "the user may not write to ready; allowed operations: none"),
        (None, State.SKIPPED, "Kafka does not report the user's permissions"),
    ],
)
def test_whether_we_may_write_is_asked_and_not_tried(
    allowed: set[str] | None, state: State, text: str
) -> None:
    """A cluster that is too old to report permissions does not fail the check."""
    finding, _ = permissions("ready", allowed)
    assert (finding.name, finding.state, finding.text) == ("kafka write", state, text)


@pytest.mark.parametrize(
    ("allowed", "state", "text"),
    [
        ({"write", "describe", "read"}, State.OK, "the user may read ready"),
        (
            {"write", "describe"},
            State.WARNING,
            "the user may not read ready; allowed operations: describe, write",
        ),
        (None, State.SKIPPED, "Kafka does not report the user's permissions"),
    ],
)
def test_who_may_not_read_the_topic_is_warned(
    allowed: set[str] | None, state: State, text: str
) -> None:
    """Without that right there are some duplicates, and no message is lost."""
    _, finding = permissions("ready", allowed)
    assert (finding.name, finding.state) == ("kafka read", state)
    assert finding.text.partition(". ")[0] == text
