"""Missing messages on a real Kafka: sent once, despite kills and other senders."""

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from cki_notifier.audit.send import Became, Result, Row
from cki_notifier.audit.stages import Due
from cki_notifier.configuration.settings import KafkaConfig, read_config
from cki_notifier.kafka.announcements import Announcements
from cki_notifier.notification.command_words import run_told_by
from cki_notifier.notification.errors import Unavailable
from cki_notifier.notification.models import Stage
from cki_notifier.workers.deadline import Deadline
from tests.audit.sending import Counted, Order, run
from tests.brokers.stage import Stage as Scene
from tests.brokers.stage import eventually
from tests.factories.terminal import read_all, terminal
from tools.brokers.kafka import Kafka, Record
from tools.notifier import complete
from tools.stand_ins import documents

PRE, POST = Stage.PRE_TEST, Stage.POST_TEST


def fill(stage: Scene, count: int) -> list[Due]:
    """Put checkouts into DataWarehouse; return their due stages."""
    for number in range(count):
        checkout = documents.checkout(f"redhat:{number}")
        stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    return [Due(f"redhat:{number}", it) for number in range(count) for it in (PRE, POST)]


@contextmanager
def started(
    stage: Scene, order: Order, stderr: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    """Start a process that sends missing messages; kill it at the end."""
    file = stage.folder / "order.json"
    file.write_bytes(msgspec.json.encode(order))
    with subprocess.Popen(
        [sys.executable, "-m", "tests.audit.sending", str(file)],
        env=complete(stage.environment | {"CKI_LOGGING_LEVEL": "WARNING"}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def seen(process: subprocess.Popen[str], text: str) -> str:
    """Read what it says until a line has this text; return all of it."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if text in line:
            break
    assert text in said
    return said


def result_of(process: subprocess.Popen[str]) -> tuple[Result, str]:
    """Wait for the end; return the result and the other output."""
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    return msgspec.json.decode(out, type=Result), err


def send(stage: Scene, order: Order) -> tuple[Result, str]:
    """Send missing messages in a new process; return its output."""
    with started(stage, order) as process:
        return result_of(process)


def kafka_of(stage: Scene) -> KafkaConfig:
    """Return Kafka's configuration."""
    config = read_config(stage.environment).kafka
    assert config is not None
    return config


def records(stage: Scene, count: int) -> list[Record]:
    """Read this many records; check that there are no more."""
    with closing(Announcements(kafka_of(stage))) as announced:
        assert announced.read(datetime.now(UTC) - timedelta(hours=1), Deadline(30)) == count
    return stage.records(count)


@pytest.fixture(name="topic")
def _topic(stage: Scene) -> Iterator[Counted]:
    """The topic, which this process reads, too."""
    topic = Counted(kafka_of(stage))
    topic.read_on(Deadline(30))
    topic.reads = 0
    yield topic
    topic.close()


def within(stage: Scene, order: Order, topic: Counted) -> Result:
    """Send missing messages within this process."""
    environment = stage.environment | {"CKI_LOGGING_LEVEL": "WARNING"}
    return run(read_config(environment), order, topic)


def test_what_is_missing_is_sent_as_the_daemon_would_have_sent_it(stage: Scene) -> None:
    """Each once, in order, with an id that all audits share and a report to the daemons."""
    missing = fill(stage, 2)
    with stage.channel() as channel:
        channel.queue_declare(stage.queue, durable=True)
    result, told = send(stage, Order(missing))
    assert result.rows == [Row(it, Became.SENT) for it in missing]
    assert (result.total, result.left, result.signal) == (4, 0, 0)
    written = records(stage, 4)
    assert {it.headers["ce_id"] for it in written} == {it.notification().event_id for it in missing}
    kinds = {Due(it.key, PRE if it.headers["ce_type"].endswith("pre") else POST) for it in written}
    assert kinds == set(missing)
    for record in written:
        assert json.loads(record.value)["checkout_id"] == record.headers["ce_subject"] == record.key
        assert record.headers["ce_source"] == stage.services.warehouse.url
        age = datetime.now(UTC) - datetime.fromisoformat(record.headers["ce_time"])
        assert timedelta() < age < timedelta(minutes=5)
    words = [run_told_by(letter.body) for letter in stage.take(stage.queue, 4)]
    assert [(it.checkout_id, it.outcome, it.reason) for it in words if it] == [
        (it.checkout_id, "sent", it.stage.value) for it in missing
    ]
    assert len(re.findall(r"manual run by \S+@\S+: .* outcome=sent", told)) == 4
    again, _ = send(stage, Order(missing))
    assert again.total == 0


def test_what_was_sent_meanwhile_is_not_sent_again(
    stage: Scene, topic: Counted, capfd: pytest.CaptureFixture[str]
) -> None:
    """The topic is read on after the operator agreed, and before each message."""
    missing = fill(stage, 2)
    for number in range(2):
        run = stage.command("--status=ready_to_report", f"--checkout-id=redhat:{number}")
        assert run.returncode == 0, run.stderr
    assert not topic.has("redhat:0", POST)
    result = within(stage, Order(missing), topic)
    assert [it.became for it in result.rows] == [Became.SENT, Became.THERE] * 2
    assert (result.counts[Became.SENT], result.counts[Became.THERE]) == (2, 2)
    assert "redhat:1 post-test: already in the topic" in capfd.readouterr().err
    records(stage, 4)
    assert topic.reads == 2


def test_the_rules_are_asked_again_and_a_failure_stops_nothing(
    stage: Scene, topic: Counted, capfd: pytest.CaptureFixture[str]
) -> None:
    """It sends none that was merged meanwhile, counts failures, and sends the others."""
    missing = fill(stage, 3)[1::2]
    url = stage.services.gitlab.merge_request_url("group/kernel", 12)
    stage.services.gitlab.add_merge_request(documents.merge_request(url, state="merged"))
    merged = documents.checkout("redhat:0", merge_request=url)
    stage.services.warehouse.add(documents.everything(merged, [documents.build(merged)]))
    wrong = documents.checkout("redhat:1", tree_name=5)
    stage.services.warehouse.add(documents.everything(wrong, [documents.build(wrong)]))
    missing.insert(2, Due("redhat:gone", PRE))
    with stage.channel() as channel:
        channel.queue_declare(stage.queue, durable=True)
    result = within(stage, Order(missing), topic)
    assert [it.became for it in result.rows] == [
        Became.IGNORED,
        Became.FAILED,
        Became.FAILED,
        Became.SENT,
    ]
    assert result.rows[0].reason == "merge-request-merged"
    assert "tree_name" in result.rows[1].reason
    said = capfd.readouterr().err
    assert "redhat:0 post-test: ignored now (merge-request-merged): " in said
    assert "redhat:1 post-test: not sent: datawarehouse: " in said
    assert "redhat:gone pre-test: not sent: datawarehouse: no such checkout" in said
    (record,) = records(stage, 1)
    assert record.key == "redhat:2"
    words = [run_told_by(letter.body) for letter in stage.take(stage.queue, 4)]
    assert [(it.outcome, it.reason) for it in words if it] == [
        ("ignored", "merge-request-merged"),
        ("failed", "invalid-document"),
        ("failed", "not-found"),
        ("sent", "post-test"),
    ]


def test_killed_ten_times_and_nothing_is_there_twice(stage: Scene) -> None:
    """Killed before, while and after it sends a message, then run again."""
    missing = fill(stage, 15)
    moments = (None, 0.0, 0.001, 0.002, 0.004)
    for number in range(10):
        dies_after = moments[number % len(moments)]
        order = Order(missing, dies_at=1 + number % 3, dies_after=dies_after)
        with started(stage, order) as process:
            _, err = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, err
    result, _ = send(stage, Order(missing))
    assert result.counts[Became.SENT] == result.total == len(result.rows)
    assert 0 < result.total < len(missing)
    counts = Counter(
        (it.key, it.headers["ce_type"].rpartition(".")[2]) for it in records(stage, len(missing))
    )
    assert counts == {(it.checkout_id, it.stage.value.partition("-")[0]): 1 for it in missing}
    assert send(stage, Order(missing))[0].total == 0


def test_two_at_once_make_one_event_of_each(stage: Scene) -> None:
    """One gets ahead, and the other skips its messages. At worst, an id comes twice."""
    missing = fill(stage, 15)
    order = Order(missing, waits=True)
    with started(stage, order) as one, started(stage, order) as other:
        for process in (one, other):
            seen(process, "the topic is read")
        for process in (one, other):
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        counts = [result_of(it)[0].counts for it in (one, other)]
    assert [it[Became.SENT] + it[Became.THERE] for it in counts] == [len(missing)] * 2
    sent = sum(it[Became.SENT] for it in counts)
    written = records(stage, sent)
    assert {it.headers["ce_id"] for it in written} == {it.notification().event_id for it in missing}
    assert len(written) == sent < 2 * len(missing)


def test_a_signal_between_two_ends_it_in_order(stage: Scene) -> None:
    """It finishes and reports the message in flight. The next run sends the others."""
    missing = fill(stage, 20)
    with started(stage, Order(missing)) as process:
        said = seen(process, "outcome=sent")
        process.send_signal(signal.SIGTERM)
        result, rest_said = result_of(process)
    assert result.signal == signal.SIGTERM
    assert result.left > 0
    sent = result.counts[Became.SENT]
    assert (said + rest_said).count("outcome=sent") == sent == len(result.rows)
    records(stage, sent)
    rest, _ = send(stage, Order(missing))
    assert rest.total == result.left
    records(stage, len(missing))


def test_a_signal_wakes_who_waits_for_a_service(stage: Scene) -> None:
    """Nobody waits a minute for the end."""
    missing = fill(stage, 2)
    stage.services.warehouse.down()
    with started(stage, Order(missing)) as process:
        seen(process, "retrying: datawarehouse: ")
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        result, _ = result_of(process)
    assert time.monotonic() - began < 20
    assert (result.rows, result.left, result.signal) == ([], 4, signal.SIGINT)


def test_a_hiccup_of_kafka_is_outlasted_and_costs_no_duplicate(stage: Scene, kafka: Kafka) -> None:
    """A retry looks up a message without confirmation first."""
    missing = fill(stage, 4)
    settings = stage.folder / "client.properties"
    settings.write_text("delivery.timeout.ms=2000\n")
    stage.environment["KAFKA_CONFIG_FILE"] = str(settings)
    with started(stage, Order(missing)) as process:
        seen(process, "outcome=sent")
        kafka.freeze()
        try:
            time.sleep(4)
        finally:
            kafka.thaw()
        result, _ = result_of(process)
    assert result.counts[Became.SENT] == 8
    records(stage, 8)


def test_what_was_written_and_not_confirmed_is_not_sent_again(stage: Scene, topic: Counted) -> None:
    """The retry finds the first try's record, and counts it as sent."""
    missing = fill(stage, 1)
    result = within(stage, Order(missing, unconfirmed_at=1), topic)
    assert result.rows == [Row(it, Became.SENT) for it in missing]
    records(stage, 2)


class Overtaken(Counted):
    """A topic with another writer, just before the third reading."""

    def __init__(self, stage: Scene) -> None:
        super().__init__(kafka_of(stage))
        self._stage = stage

    def read_on(self, deadline: Deadline) -> None:
        """Have the other writer write, then read."""
        if self.reads == 2:
            run = self._stage.command("--status=ready_to_report", "--checkout-id=redhat:2")
            assert run.returncode == 0, run.stderr
        super().read_on(deadline)


def test_what_is_sent_while_it_is_decided_is_not_sent_again(stage: Scene) -> None:
    """The audit reads new records just before it sends a message."""
    missing = fill(stage, 3)[1::2]
    with closing(Overtaken(stage)) as topic:
        result = within(stage, Order(missing), topic)
    assert [it.became for it in result.rows] == [Became.SENT, Became.SENT, Became.THERE]
    records(stage, 3)


class Unreadable(Counted):
    """A topic whose new records can't be read."""

    def read_on(self, _deadline: Deadline) -> None:
        """Fail."""
        raise Unavailable("kafka", "the topic can't be read")


def test_what_can_not_be_looked_up_is_not_sent(stage: Scene) -> None:
    """Otherwise a duplicate might follow."""
    missing = fill(stage, 1)
    topic = Unreadable(kafka_of(stage))
    result = within(stage, Order(missing), topic)
    topic.close()
    reason = "kafka: the topic can't be read"
    assert result.rows == [Row(it, Became.FAILED, reason) for it in missing]


def test_a_terminal_shows_how_far_it_is(stage: Scene) -> None:
    """Each line stands alone, and the progress bar vanishes."""
    missing = fill(stage, 20)
    with (
        terminal() as (stream, ours),
        started(stage, Order(missing), stderr=stream.fileno()) as process,
    ):
        stream.close()
        shown = read_all(ours)
        assert process.wait(30) == 0
    assert "% of 40, " in shown
    lines = [line.rpartition("\x1b[2K")[2] for line in shown.splitlines()]
    logged = [line for line in lines if "outcome=sent" in line]
    assert len(logged) == len(missing)
    assert all(line.startswith('{"time"') for line in logged)
    assert "% of" not in lines[-1]


def test_nothing_missing_is_nothing_to_do(stage: Scene, topic: Counted) -> None:
    """No daemon gets a report."""
    assert within(stage, Order([]), topic) == Result(0)
    assert eventually(lambda: stage.waiting(stage.queue) == 0)
