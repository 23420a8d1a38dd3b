"""The process's metrics, for Prometheus."""

import prometheus_client
from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from cki_notifier import __version__
from cki_notifier.notification.command_words import OUTCOMES
from cki_notifier.notification.models import Stage, Status
from cki_notifier.notification.reasons import DeadLetterReason, DelayReason
from cki_notifier.telemetry.connections import Connections

# No _created series for each counter: process_start_time_seconds is enough.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types

#: The library's own registry, with its metrics of the process: memory, CPU, garbage collection.
REGISTRY = prometheus_client.REGISTRY

notifications = Counter(
    "cki_notifier_notifications",
    "Notifications by outcome. For sent, the reason is the stage. Statuses that we do not handle "
    "are other.",
    ["status", "outcome", "reason"],
)
messages_sent = Counter("cki_notifier_messages_sent", "Messages that Kafka confirmed.", ["stage"])
processing_seconds = Histogram(
    "cki_notifier_processing_seconds",
    "Time from the start of an attempt to its outcome.",
    ["outcome"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
request_seconds = Histogram(
    "cki_notifier_request_seconds",
    "Time from the start of an HTTP request to the end of its response. The code is none without a "
    "response.",
    ["service", "code"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
token_refusals = Counter(
    "cki_notifier_token_refusals",
    "Responses 401 or 403 to our tokens, except where a message does not need the refused data.",
    ["service"],
)
kafka_delivery_seconds = Histogram(
    "cki_notifier_kafka_delivery_seconds",
    "Time from handing a message to the Kafka client to Kafka's confirmation.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 60),
)
kafka_failures = Counter(
    "cki_notifier_kafka_failures",
    "Messages that Kafka did not confirm. Their notifications are retried.",
)
topic_lookups = Counter(
    "cki_notifier_topic_lookups",
    "Lookups in the topic, for notifications that may have been processed before. found: the "
    "message is there and is not sent again. absent: it is not there. forbidden: we may not read "
    "the topic, so the message is sent.",
    ["result"],
)
retries = Counter(
    "cki_notifier_retries",
    "Notifications put into a retry queue.",
    ["reason"],
)
dead_letters = Counter(
    "cki_notifier_dead_letters",
    "Notifications put into the dead-letter queue.",
    ["reason"],
)
dead_letters_taken = Counter(
    "cki_notifier_dead_letters_taken",
    "Dead letters that cki-notifier dead-letters retried or discarded, as reported to this daemon.",
)
manual_runs = Counter(
    "cki_notifier_manual_runs",
    "Runs by hand that should send a message, as reported to this daemon. outcome: sent, ignored "
    "or failed.",
    ["outcome"],
)
last_sent_timestamp_seconds = Gauge(
    "cki_notifier_last_sent_timestamp_seconds",
    "Unix time at which Kafka confirmed the last message. Missing before the first.",
    ["stage"],
)
in_flight = Gauge(
    "cki_notifier_in_flight",
    "Notifications being processed, at most CKI_NOTIFIER_IN_FLIGHT.",
)
in_flight_limit = Gauge(
    "cki_notifier_in_flight_limit",
    "The most notifications processed at once: CKI_NOTIFIER_IN_FLIGHT.",
)
held_copies = Gauge(
    "cki_notifier_parking_held",
    "Copies of failed notifications that a retry queue or the dead-letter queue does not accept. "
    "The daemon retries them; the notifications stay unacknowledged in the main queue.",
    ["queue"],
)
rabbitmq_blocked = Gauge(
    "cki_notifier_rabbitmq_blocked",
    "Whether RabbitMQ blocks all publishers (1 or 0), by the resource it is low on: memory, disk "
    "or other. Notifications that fail stay in the main queue.",
    ["resource"],
)
connected = Connections()
REGISTRY.register(connected)
reconnects = Counter(
    "cki_notifier_reconnects",
    "Reconnections. rabbitmq: attempts to connect after a lost connection. kafka: replacements of "
    "a client that could not recover.",
    ["dependency"],
)
enrichment_failures = Counter(
    "cki_notifier_enrichment_failures",
    "Messages sent without optional data, because its service did not answer.",
    ["service"],
)
log_lines_dropped = Counter(
    "cki_notifier_log_lines_dropped",
    "Log lines and printed messages dropped, because standard error or output is full or has no "
    "reader.",
)
info = Gauge(
    "cki_notifier_info",
    "Always 1, with the version and environment of the process.",
    ["version", "environment"],
)

_KNOWN_STATUSES = frozenset(Status)
_REFUSALS = frozenset({"401", "403"})
#: The resources that RabbitMQ names in an alarm; any other counts as other.
_SHORT_OF = ("memory", "disk")


def sent(stage: str) -> None:
    """Count a message that Kafka confirmed."""
    messages_sent.labels(stage).inc()
    last_sent_timestamp_seconds.labels(stage).set_to_current_time()


def answered(service: str, code: str, seconds: float, *, is_needed: bool = True) -> None:
    """Count a request.

    Args:
        service: that received it.
        code: of the response, ``none`` without one.
        seconds: its duration.
        is_needed: whether a refusal counts as a token refusal.
    """
    request_seconds.labels(service, code).observe(seconds)
    if is_needed and code in _REFUSALS:
        token_refusals.labels(service).inc()


def blocked(reason: str) -> None:
    """Note RabbitMQ's reason for accepting no messages, in its own words; ``""`` for none."""
    short_of = [it for it in _SHORT_OF if it in reason]
    for label in (*_SHORT_OF, "other"):
        is_meant = label in short_of or (label == "other" and reason != "" and not short_of)
        rabbitmq_blocked.labels(label).set(is_meant)


def settled(status: str | None, outcome: str, reason: str, seconds: float) -> None:
    """Count an outcome.

    Args:
        status: the notification's, any text.
        outcome: sent, ignored, delayed or dead-lettered.
        reason: its code; for sent, the stage.
        seconds: the attempt's duration.
    """
    label = status if status in _KNOWN_STATUSES else "other"
    notifications.labels(label, outcome, reason).inc()
    processing_seconds.labels(outcome).observe(seconds)
    if outcome == "delayed":
        retries.labels(reason).inc()
    elif outcome == "dead-lettered":
        dead_letters.labels(reason).inc()


def introduce(environment: str, most_in_flight: int) -> None:
    """Set the process's info, and start rare counters at 0.

    Prometheus sees no increase in a counter's first sample. Without the 0, the first dead letter
    after a start would go unnoticed.
    """
    in_flight_limit.set(most_in_flight)
    info.labels(__version__, environment or "none").set(1)
    blocked("")
    for counter, values in (
        (messages_sent, tuple(Stage)),
        (processing_seconds, ("sent", "ignored", "delayed", "dead-lettered")),
        (topic_lookups, ("found", "absent", "forbidden")),
        (retries, tuple(DelayReason)),
        (dead_letters, tuple(DeadLetterReason)),
        (manual_runs, OUTCOMES),
        (reconnects, ("rabbitmq", "kafka")),
        (enrichment_failures, ("jira",)),
        (token_refusals, ("datawarehouse", "gitlab", "jira")),
    ):
        for value in values:
            counter.labels(value)
