"""``cki-notifier audit``: reads, compares, reports, and sends where that is asked for."""

import argparse
import time
from collections.abc import Iterator
from datetime import timedelta

from cki_notifier.audit.compare import Judge, Queued
from cki_notifier.audit.queues import look
from cki_notifier.audit.report import Found
from cki_notifier.audit.stages import Due, Judged, Verdict
from cki_notifier.checkout.documents import Checkout
from cki_notifier.configuration.settings import Config, KafkaConfig
from cki_notifier.kafka.announcements import Announcements
from cki_notifier.notification.errors import ConfigurationError, Unavailable
from cki_notifier.notification.models import Stage
from cki_notifier.pipeline import Pipeline
from cki_notifier.sources.datawarehouse import DataWarehouse, Unreadable
from cki_notifier.workers.deadline import Deadline

DONE, MISSING, WRONG, UNDECIDED = 0, 1, 2, 3

#: For all of it, in seconds.
_SECONDS = 12 * 3600.0
#: The clocks of the warehouse and of Kafka may differ so much.
_MARGIN = timedelta(hours=1)
#: What was missing is looked for once more so long after the audit began, in seconds: it may have
#: been on its way.
_ON_ITS_WAY_SECONDS = 5.0
#: For a look into the queues, in seconds.
_QUEUES_SECONDS = 120.0


class Audit:
    """One audit.

    Args:
        config: of the process.
        parsed: the arguments.
        warehouse: lists the checkouts.
        pipeline: decides, and sends nothing.
    """

    def __init__(
        self,
        config: Config,
        parsed: argparse.Namespace,
        warehouse: DataWarehouse,
        pipeline: Pipeline,
    ) -> None:
        self._config = config
        self._parsed = parsed
        self._warehouse = warehouse
        self._pipeline = pipeline
        self._deadline = Deadline(_SECONDS)
        self.announced = Announcements(_kafka_of(config))
        self.found = Found(parsed.since, parsed.until)

    def run(self) -> None:
        """Read, compare, and look once more for what seems to be missing.

        Raises:
            Unavailable: the topic or the list of checkouts can't be read.
        """
        began = time.monotonic()
        self.read_on()
        queued, trouble = self._look()
        judge = Judge(self.announced, queued, trouble, self._pipeline)
        for judged in judge.judge_all(self._checkouts()):
            self.found.add(judged)
        if self.found.missing:
            self._deadline.pause(max(0.0, began + _ON_ITS_WAY_SECONDS - time.monotonic()))
            self.read_on()
            judge.queued, _trouble = self._look()
        self.found.settle([judge.once_more(it) for it in self.found.missing])

    def read_on(self) -> None:
        """Read what the topic has, or what it has got since the last time."""
        self.announced.read(self._parsed.since - _MARGIN, self._deadline)

    def note(self) -> None:
        """Note what the audit can't know."""

    def _look(self) -> tuple[Queued | None, str]:
        if self._config.rabbitmq is None:
            return None, ""
        try:
            waiting = look(self._config.rabbitmq, _QUEUES_SECONDS)
        except Unavailable as error:
            return None, f"the retry and dead-letter queues can't be looked at: {error}"
        return waiting, ""

    def _checkouts(self) -> Iterator[Checkout]:
        tree, span = self._parsed.tree, (self._parsed.since, self._parsed.until)
        for checkout in self._warehouse.checkouts_since(*span, self._deadline):
            if isinstance(checkout, Unreadable):
                for stage in Stage:
                    due = Due(checkout.checkout_id, stage)
                    self.found.add(Judged(due, Verdict.UNDECIDED, error=checkout.error))
            elif tree is None or checkout.tree_name == tree:
                yield checkout


def _kafka_of(config: Config) -> KafkaConfig:
    if config.kafka is None:
        fault = "is none in which messages are sent, so nothing was announced; name production or staging"
        raise ConfigurationError([f"CKI_DEPLOYMENT_ENVIRONMENT: {fault}"])
    return config.kafka
