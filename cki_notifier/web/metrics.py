"""The metrics for Prometheus: the process's counters, and gauges that are read on each scrape."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from cki_notifier.telemetry.metrics import REGISTRY
from cki_notifier.telemetry.unsettled import Unsettled
from cki_notifier.web.request import Answer, Request


class Metrics(Collector):
    """All metrics.

    Args:
        counts: returns messages by queue; unknown queues are missing.
        unsettled: the notifications without an outcome.
    """

    def __init__(self, counts: Callable[[], Mapping[str, int]], unsettled: Unsettled) -> None:
        self._counts = counts
        self._unsettled = unsettled

    def answer(self, request: Request) -> Answer:
        """Write the metrics in the requested format."""
        encode, content_type = choose_encoder(request.accept)
        return Answer(encode(self), content_type)

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics."""
        yield from REGISTRY.collect()
        queues = GaugeMetricFamily(
            "cki_notifier_queue_messages",
            "Messages that wait in a RabbitMQ queue; delay is all retry queues together. Missing "
            "while RabbitMQ does not answer. All replicas report the same queues: take the "
            "maximum, not the sum.",
            labels=["queue"],
        )
        for queue, count in self._counts().items():
            queues.add_metric([queue], count)
        yield queues
        oldest = GaugeMetricFamily(
            "cki_notifier_oldest_notification_timestamp_seconds",
            "Unix time at which the oldest notification was first received. in_hand: of those in "
            "flight. delayed: of those this process put into a retry queue. Missing when there is "
            "none.",
            labels=["state"],
        )
        if in_hand := self._unsettled.in_hand():
            oldest.add_metric(["in_hand"], min(it.first_seen for it in in_hand).timestamp())
        if delayed := self._unsettled.delayed():
            oldest.add_metric(["delayed"], min(it.first_seen for it in delayed).timestamp())
        yield oldest
