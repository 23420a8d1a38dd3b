"""What Prometheus reads: what the process counts, and what is asked when it is read."""

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
        counts: how much waits by queue, without what is not known.
        unsettled: what nothing became yet.
    """

    def __init__(self, counts: Callable[[], Mapping[str, int]], unsettled: Unsettled) -> None:
        self._counts = counts
        self._unsettled = unsettled

    def answer(self, request: Request) -> Answer:
        """Write them in the format that is asked for."""
        encode, content_type = choose_encoder(request.accept)
        return Answer(encode(self), content_type)

    def collect(self) -> Iterable[Metric]:
        """Yield them."""
        yield from REGISTRY.collect()
        queues = GaugeMetricFamily(
            "cki_notifier_queue_messages",
            "Messages that nobody holds, in the main queue, the delay queues together and the "
            "dead-letter queue, as RabbitMQ says; missing while it can't be asked. Every replica "
            "shows the same queues: take the largest, not the sum.",
            labels=["queue"],
        )
        for queue, count in self._counts().items():
            queues.add_metric([queue], count)
        yield queues
        oldest = GaugeMetricFamily(
            "cki_notifier_oldest_notification_timestamp_seconds",
            "When the oldest notification of those in hand, and of those this process has put into "
            "a delay queue, was received the very first time, in seconds since 1970; missing when "
            "there is none.",
            labels=["state"],
        )
        if in_hand := self._unsettled.in_hand():
            oldest.add_metric(["in_hand"], min(it.first_seen for it in in_hand).timestamp())
        if delayed := self._unsettled.delayed():
            oldest.add_metric(["delayed"], min(it.first_seen for it in delayed).timestamp())
        yield oldest
