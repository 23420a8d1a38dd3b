"""What the process counts about itself, for Prometheus."""

import prometheus_client
from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

from cki_notifier import __version__
from cki_notifier.notification.command_words import OUTCOMES
from cki_notifier.notification.models import Stage, Status
from cki_notifier.notification.reasons import DeadLetterReason, DelayReason
from cki_notifier.telemetry.connections import Connections

# When each counter began, a series for each of them: process_start_time_seconds says enough.
disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types

#: The library's own, where it tells of every process: memory, CPU time, garbage collection.
REGISTRY = prometheus_client.REGISTRY

notifications = Counter(
    "cki_notifier_notifications",
    "Notifications that were settled. The reason of what was sent is its stage; a status that does "
    "not concern us is other.",
    ["status", "outcome", "reason"],
)
messages_sent = Counter("cki_notifier_messages_sent", "Messages that Kafka confirmed.", ["stage"])
processing_seconds = Histogram(
    "cki_notifier_processing_seconds",
    "From the start of the work on a notification to the decision what happens to it.",
    ["outcome"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
request_seconds = Histogram(
    "cki_notifier_request_seconds",
    "From the start of an HTTP request to its whole response; the code is none without one.",
    ["service", "code"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
token_refusals = Counter(
    "cki_notifier_token_refusals",
    "Answers 401 or 403 to a token of ours; not where a message can do without what is refused.",
    ["service"],
)
kafka_delivery_seconds = Histogram(
    "cki_notifier_kafka_delivery_seconds",
    "From handing a message to the Kafka client to the brokers' confirmation.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 60),
)
kafka_failures = Counter(
    "cki_notifier_kafka_failures",
    "Messages that Kafka did not confirm; their notifications are tried again.",
)
topic_lookups = Counter(
    "cki_notifier_topic_lookups",
    "Look-ups in the topic of what may have been handled before. found: its message is there, and "
    "not sent again; absent: it is not; forbidden: we may not read the topic, so it is sent in any "
    "case.",
    ["result"],
)
retries = Counter(
    "cki_notifier_retries",
    "Notifications that were put into a delay queue, to be tried again.",
    ["reason"],
)
dead_letters = Counter(
    "cki_notifier_dead_letters",
    "Notifications that were put into the dead-letter queue.",
    ["reason"],
)
dead_letters_taken = Counter(
    "cki_notifier_dead_letters_taken",
    "Dead letters that cki-notifier dead-letters put back or discarded, as it told this daemon.",
)
manual_runs = Counter(
    "cki_notifier_manual_runs",
    "Runs by hand that were to send a message, as they told this daemon. outcome: sent, ignored or "
    "failed.",
    ["outcome"],
)
last_sent_timestamp_seconds = Gauge(
    "cki_notifier_last_sent_timestamp_seconds",
    "When Kafka confirmed the last message, in seconds since 1970; missing until then.",
    ["stage"],
)
in_flight = Gauge(
    "cki_notifier_in_flight",
    "Notifications that are being handled, at most CKI_NOTIFIER_IN_FLIGHT.",
)
in_flight_limit = Gauge(
    "cki_notifier_in_flight_limit",
    "How many notifications can be handled at once: CKI_NOTIFIER_IN_FLIGHT.",
)
held_copies = Gauge(
    "cki_notifier_parking_held",
    "Copies of notifications that a retry queue or the dead-letter queue does not take; they are "
    "tried again, and the notifications stay unacknowledged in the main queue meanwhile.",
    ["queue"],
)
rabbitmq_blocked = Gauge(
    "cki_notifier_rabbitmq_blocked",
    "1 while RabbitMQ accepts no messages from anybody, by the resource it is short of (memory, "
    "disk or other), else 0. Notifications that fail stay in the main queue meanwhile.",
    ["resource"],
)
connected = Connections()
REGISTRY.register(connected)
reconnects = Counter(
    "cki_notifier_reconnects",
    "Connections that had to be made anew. rabbitmq: attempts to connect after a lost connection; "
    "kafka: clients that could not recover and were replaced.",
    ["dependency"],
)
enrichment_failures = Counter(
    "cki_notifier_enrichment_failures",
    "Messages that were sent without an extra, because its service did not answer.",
    ["service"],
)
log_lines_dropped = Counter(
    "cki_notifier_log_lines_dropped",
    "Lines of the log, or shown messages, that standard error or output did not take: nobody reads "
    "it, or it is full.",
)
info = Gauge("cki_notifier_info", "What this process is; always 1.", ["version", "environment"])

_KNOWN_STATUSES = frozenset(Status)
_REFUSALS = frozenset({"401", "403"})
#: What RabbitMQ may be short of, as it says; anything else is other.
_SHORT_OF = ("memory", "disk")


def sent(stage: str) -> None:
    """Count a message that Kafka confirmed."""
    messages_sent.labels(stage).inc()
    last_sent_timestamp_seconds.labels(stage).set_to_current_time()


def answered(service: str, code: str, seconds: float, *, is_needed: bool = True) -> None:
    """Count a request.

    Args:
        service: who was asked.
        code: of the response, ``none`` without one.
        seconds: it took.
        is_needed: whether a refusal is held against the token.
    """
    request_seconds.labels(service, code).observe(seconds)
    if is_needed and code in _REFUSALS:
        token_refusals.labels(service).inc()


def blocked(reason: str) -> None:
    """Note why RabbitMQ accepts no messages, in its own words; ``""`` when it does."""
    short_of = [it for it in _SHORT_OF if it in reason]
    for label in (*_SHORT_OF, "other"):
        is_meant = label in short_of or (label == "other" and reason != "" and not short_of)
        rabbitmq_blocked.labels(label).set(is_meant)


def settled(status: str | None, outcome: str, reason: str, seconds: float) -> None:
    """Count a notification that was settled.

    Args:
        status: its own, which may be anything.
        outcome: sent, ignored, delayed or dead-lettered.
        reason: why; for what was sent, its stage.
        seconds: it took to handle.
    """
    label = status if status in _KNOWN_STATUSES else "other"
    notifications.labels(label, outcome, reason).inc()
    processing_seconds.labels(outcome).observe(seconds)
    if outcome == "delayed":
        retries.labels(reason).inc()
    elif outcome == "dead-lettered":
        dead_letters.labels(reason).inc()


def introduce(environment: str, most_in_flight: int) -> None:
    """Say what this process is, and begin at 0 what is rare.

    Prometheus sees no increase in the first sample of a counter: without its 0, the first dead
    letter after a start would go unnoticed.
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
