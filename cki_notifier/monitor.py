"""What the process counts about itself, for Prometheus."""

from wsgiref.simple_server import WSGIServer

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    start_http_server,
)

from cki_notifier import __version__
from cki_notifier.errors import ConfigurationError
from cki_notifier.models import Status

REGISTRY = CollectorRegistry()

notifications = Counter(
    "cki_notifier_notifications",
    "Notifications that were settled.",
    ["status", "outcome", "reason"],
    registry=REGISTRY,
)
messages_sent = Counter(
    "cki_notifier_messages_sent",
    "Messages that Kafka confirmed.",
    ["stage"],
    registry=REGISTRY,
)
processing_seconds = Histogram(
    "cki_notifier_processing_seconds",
    "From the start of the work on a notification to the decision what happens to it.",
    ["outcome"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
    registry=REGISTRY,
)
in_flight = Gauge(
    "cki_notifier_in_flight", "Notifications that are being handled.", registry=REGISTRY
)
connected = Gauge(
    "cki_notifier_connected",
    "Whether there is a connection that works.",
    ["dependency"],
    registry=REGISTRY,
)
reconnects = Counter(
    "cki_notifier_reconnects",
    "Connections that had to be made anew.",
    ["dependency"],
    registry=REGISTRY,
)
enrichment_failures = Counter(
    "cki_notifier_enrichment_failures",
    "Messages that were sent without an extra, because its service did not answer.",
    ["service"],
    registry=REGISTRY,
)
info = Gauge(
    "cki_notifier_info",
    "What this process is.",
    ["version", "environment"],
    registry=REGISTRY,
)

_KNOWN_STATUSES = frozenset(Status)


def status_label(status: str | None) -> str:
    """Return a status fit for a label: those that concern us, all others as ``other``."""
    return status if status in _KNOWN_STATUSES else "other"


def serve(port: int, environment: str) -> WSGIServer:
    """Serve ``/metrics`` in a thread of its own; ``shutdown()`` of what is returned ends it.

    Raises:
        ConfigurationError: the port is taken, or not ours to take.
    """
    info.labels(__version__, environment or "none").set(1)
    try:
        server, _ = start_http_server(port, registry=REGISTRY)
    except OSError as error:
        raise ConfigurationError(
            [f"CKI_METRICS_PORT: port {port} can't be used: {error.strerror}"]
        ) from error
    return server
