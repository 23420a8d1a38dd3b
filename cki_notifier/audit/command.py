"""``cki-notifier audit``: reads, compares, reports, and sends with ``--send``."""

import argparse
import logging
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta

from msgspec import to_builtins

from cki_notifier.audit import push, send
from cki_notifier.audit.compare import Judge, Topic
from cki_notifier.audit.queues import Waiting, look
from cki_notifier.audit.report import Found
from cki_notifier.audit.stages import Due, Judged, Verdict
from cki_notifier.checkout.documents import Checkout
from cki_notifier.configuration.settings import Config, KafkaConfig
from cki_notifier.notification.errors import ConfigurationError, Unavailable
from cki_notifier.notification.models import Stage
from cki_notifier.pipeline import Pipeline
from cki_notifier.sources.datawarehouse import DataWarehouse, Unreadable
from cki_notifier.telemetry.output import Output
from cki_notifier.telemetry.terminal import agreed, progress, show, show_unprintable
from cki_notifier.workers.deadline import Deadline

logger = logging.getLogger(__name__)

DONE, MISSING, WRONG, UNDECIDED = 0, 1, 2, 3

#: For the whole audit, in seconds.
_SECONDS = 12 * 3600.0
#: For one reading of the topic while Kafka does not answer, in seconds.
_TOPIC_SECONDS = 600.0
#: The clocks of DataWarehouse and Kafka may differ by this.
_MARGIN = timedelta(hours=1)
#: From the audit's beginning to the second look for missing messages, which may have been in
#: flight, in seconds.
_ON_ITS_WAY_SECONDS = 5.0
#: For reading the queues, in seconds.
_QUEUES_SECONDS = 120.0


def run(
    config: Config, parsed: argparse.Namespace, warehouse: DataWarehouse, pipeline: Pipeline
) -> int:
    """Audit; the report goes to standard output, all else to standard error.

    Args:
        config: of the process.
        parsed: the arguments.
        warehouse: lists the checkouts.
        pipeline: decides, and sends with ``--send``.

    Returns:
        The exit code: 0 nothing is missing, 1 messages are missing, 2 wrong usage or configuration,
        3 some stages are undecided.
    """
    if fault := _fault_of(config, parsed):
        show(f"cki-notifier audit: {fault}")
        return WRONG
    topic = Topic(_kafka_of(config), parsed.since - _MARGIN)
    with Output() as output, closing(topic):
        audit = _Audit(config, parsed, Found(parsed.since, parsed.until, output), topic)
        try:
            audit.go(warehouse, pipeline)
            code = audit.report(pipeline)
        except KeyboardInterrupt:
            show("")  # below the line with ^C
            show("interrupted")
            return 128 + signal.SIGINT
        except Unavailable as error:
            show(f"cki-notifier audit: no result: {error}")
            code = UNDECIDED
        except OSError as error:
            show_unprintable(error)
            code = UNDECIDED
        except Exception:  # Python's own exit code 1 would mean that messages are missing
            logger.exception("the audit failed: a bug in cki-notifier")
            code = UNDECIDED
        if parsed.push:
            audit.push(parsed.push)
        return code


class _Audit:
    """One audit; see :func:`run`."""

    def __init__(
        self, config: Config, parsed: argparse.Namespace, found: Found, topic: Topic
    ) -> None:
        self._config = config
        self._parsed = parsed
        self._deadline = Deadline(_SECONDS)
        self._topic = topic
        self._is_whole = False
        self.found = found

    def go(self, warehouse: DataWarehouse, pipeline: Pipeline) -> None:
        """Read and compare, then look once more for missing messages.

        Raises:
            Unavailable: Kafka or DataWarehouse does not answer.
        """
        began = time.monotonic()
        self._topic.read_on(Deadline(_TOPIC_SECONDS))
        judge = Judge(self._topic.has, self._look(), pipeline.decide)
        threads = -(-self._parsed.requests // 2)  # each makes two requests at a time
        for judged in judge.judge_all(self._checkouts(warehouse), threads):
            self.found.add(judged)
        if self.found.missing:
            self._deadline.pause(max(0.0, began + _ON_ITS_WAY_SECONDS - time.monotonic()))
            self._topic.read_on(Deadline(_TOPIC_SECONDS))
            judge.queued = self._look()
        self.found.settle([judge.once_more(it) for it in self.found.missing])
        self._note(judge.queued)
        self._is_whole = True

    def report(self, pipeline: Pipeline) -> int:
        """Print the report, send with ``--send``, and return the exit code."""
        found, sent = self.found, None
        if self._parsed.json and not self._parsed.send:
            found.print_json({})
            return self._code(len(found.missing))
        if not self._parsed.json:
            found.print()
        if self._parsed.send and found.missing and self._agreed():
            dues = [it.due for it in found.missing]
            sent = send.send(dues, pipeline, self._topic, self._config.rabbitmq)
            show(_sum(sent))
        if self._parsed.json:
            found.print_json({"sent": to_builtins(sent.rows if sent else [])})
        if sent is not None and sent.signal:
            return 128 + sent.signal
        left = len(found.missing) if sent is None else sent.left + sent.counts[send.Became.FAILED]
        return self._code(left)

    def push(self, url: str) -> None:
        """Push the sums, and the time if nothing is undecided."""
        sums = self.found.sums
        is_decided = self._is_whole and not sums[Verdict.UNDECIDED]
        at = time.time() if is_decided else None
        environment = self._config.environment
        push.push(url, {it.value: sums[it] for it in Verdict}, at, environment=environment)

    def _code(self, missing: int) -> int:
        if missing:
            return MISSING
        return UNDECIDED if self.found.sums[Verdict.UNDECIDED] else DONE

    def _agreed(self) -> bool:
        if self._parsed.yes:
            return True
        count = len(self.found.missing)
        return agreed("Send 1 message?" if count == 1 else f"Send {count:,} messages?")

    def _look(self) -> Waiting:
        """Read the queues if RabbitMQ is configured."""
        if self._config.rabbitmq is None:
            return Waiting()
        try:
            return look(self._config.rabbitmq, _QUEUES_SECONDS)
        except Unavailable as error:
            text = "the retry and dead-letter queues can't be read"
            return Waiting(trouble=f"{text}: {error}")

    def _checkouts(self, warehouse: DataWarehouse) -> Iterator[Checkout]:
        span, tree = (self._parsed.since, self._parsed.until), self._parsed.tree
        with progress("looked at") as tell:
            for it in warehouse.checkouts_since(
                *span, self._deadline, lambda seen, total: tell(total, seen, seen)
            ):
                if isinstance(it, Unreadable):
                    for stage in Stage:  # the checkout may have reached either
                        due = Due(it.checkout_id, stage)
                        self.found.add(Judged(due, Verdict.UNDECIDED, error=it.error))
                elif tree is None or it.tree_name == tree:
                    yield it

    def _note(self, queued: Waiting) -> None:
        """Add notes about the blind spots of this audit."""
        notes = self.found.notes
        if self._topic.begins_late is not None:
            since = self._topic.begins_late.isoformat(timespec="minutes")
            notes.append(
                f"a partition of the topic has no records from before {since}: older messages may "
                "be listed as missing"
            )
        if self._config.rabbitmq is None:
            notes.append(
                "RABBITMQ_HOST is not set: notifications of missing messages may wait in a queue"
            )
        notes += [f"not read: {text}" for text in queued.unseen]
        if queued.in_main:
            notes.append(
                f"{queued.in_main:,} notifications wait in the main queue: those of missing "
                "messages may be among them"
            )


def _fault_of(config: Config, parsed: argparse.Namespace) -> str:
    """Return why the audit can't run, ``""`` if it can."""
    if parsed.send and not (parsed.yes or sys.stdin.isatty()):
        return "--send asks for confirmation, but standard input is not a terminal: add --yes"
    if parsed.send and config.rabbitmq is None:
        return "--send reads the queues first, to publish no duplicate: set RABBITMQ_HOST"
    return ""


def _kafka_of(config: Config) -> KafkaConfig:
    if config.kafka is None:
        fault = "must be production or staging, where the daemon sends messages"
        raise ConfigurationError([f"CKI_DEPLOYMENT_ENVIRONMENT: {fault}"])
    return config.kafka


def _sum(sent: send.Result) -> str:
    """Return how the missing messages ended, in words."""
    words = {
        send.Became.SENT: "sent",
        send.Became.THERE: "already in the topic",
        send.Became.IGNORED: "ignored now",
        send.Became.FAILED: "failed",
    }
    counts = ((sent.counts[it], word) for it, word in words.items())
    told = ", ".join(f"{count:,} {word}" for count, word in counts if count)
    text = f"of {sent.total:,} missing messages: {told or 'none sent'}"
    return f"{text}; run the audit again for the other {sent.left:,}" if sent.left else text
