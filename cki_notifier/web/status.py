"""Gathers what the status page shows; ``/outcomes.json`` is exactly this."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from msgspec import Struct

from cki_notifier import __version__
from cki_notifier.checkout.links import merge_request_link
from cki_notifier.configuration.settings import Config
from cki_notifier.notification.reasons import sentence
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.outcomes import Entry, Outcomes
from cki_notifier.telemetry.printable import printable
from cki_notifier.telemetry.unsettled import Unsettled
from cki_notifier.web.health import Health

#: No more of GitLab's hosts are shown: the documents of others name them.
_MOST_HOSTS = 20


class Process(Struct, frozen=True):
    """What the process is.

    Attributes:
        environment: ``""`` when none is set.
        sends: whether messages are sent, or only shown.
        started: when, ISO 8601 in UTC; another value is another process.
    """

    version: str
    environment: str
    sends: bool
    started: str


class Connection(Struct, frozen=True):
    """How it is with one of those we talk to.

    Attributes:
        id: as in the metrics' labels, with the host behind a colon where there are several;
            ``copies`` for the queues that copies are put into.
        about: what we have to do with it.
        state: ``up``, ``down``, ``unknown`` (not asked yet) or ``unused``.
        says: the state in a few words.
        problem: what is wrong and what comes of it, in a sentence or two; ``""`` unless ``down``.
    """

    id: str
    name: str
    about: str
    state: str
    says: str
    problem: str = ""


class Row(Struct, frozen=True):
    """An outcome as it is shown: no text has control characters, no address another scheme.

    Attributes:
        number: counts the outcomes from 1 since the start of the process.
        time: ISO 8601 in UTC.
        checkout_url: at the warehouse; ``""`` when the id can't be linked.
        merge_request: its short name, else its address.
        merge_request_url: ``""`` when there is none, or it is not one of http(s).
        stage: of the message that was sent, ``""`` when none was.
        sentence: the reason in words.
        error: what failed, ``""`` when nothing did.
    """

    number: int
    time: str
    checkout_id: str
    checkout_url: str
    merge_request: str
    merge_request_url: str
    status: str
    outcome: str
    reason: str
    stage: str
    sentence: str
    error: str
    seconds: float


class Snapshot(Struct, frozen=True):
    """How it all is at one moment.

    Attributes:
        now: ISO 8601 in UTC.
        waiting: messages by queue (``main``, ``delay``, ``dead-letter``); without what is unknown.
        last_sent: ISO 8601 in UTC, None when no message was sent since the start.
    """

    now: str
    process: Process
    connections: list[Connection]
    in_flight: int
    waiting: Mapping[str, int]
    last_sent: str | None
    outcomes: list[Row]


class Status:
    """Knows how it all is.

    Args:
        config: of the process.
        health: of the process.
        outcomes: the last ones.
        unsettled: what nothing became yet.
        counts: how much waits by queue, without what is not known.
    """

    def __init__(
        self,
        config: Config,
        health: Health,
        outcomes: Outcomes,
        unsettled: Unsettled,
        counts: Callable[[], Mapping[str, int]],
    ) -> None:
        self._config = config
        self._health = health
        self._outcomes = outcomes
        self._unsettled = unsettled
        self._counts = counts
        started = outcomes.since.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._process = Process(__version__, config.environment, config.sends, started)

    def now(self, after: int = 0) -> Snapshot:
        """Return how it is now, with the outcomes whose number is above ``after``."""
        last_sent = self._outcomes.last_sent
        return Snapshot(
            now=_iso(datetime.now(UTC)),
            process=self._process,
            connections=[self._rabbitmq(), *self._copies(), self._kafka(), *self._services()],
            in_flight=int(_value("cki_notifier_in_flight") or 0),
            waiting=self._counts(),
            last_sent=_iso(last_sent) if last_sent else None,
            outcomes=[self._row(settled) for settled in self._outcomes.newest(after)],
        )

    def _rabbitmq(self) -> Connection:
        config = self._config.rabbitmq
        about = config.queue if config and self._config.sends else "a temporary queue"
        missing = self._health.rabbitmq.removeprefix("rabbitmq: ")
        if not missing:
            return Connection("rabbitmq", "RabbitMQ", about, "up", "consumed")
        problem = f"The queue in RabbitMQ is not consumed ({missing}). Notifications wait in it."
        return Connection("rabbitmq", "RabbitMQ", about, "down", "not consumed", problem)

    def _copies(self) -> list[Connection]:
        """Return how it is with the queues that copies go to, where there are any."""
        if not self._config.sends:
            return []
        name = "Retry and dead-letter queues"
        held_up = [text.removeprefix("rabbitmq: ") for text in self._health.held_up]
        if not held_up:
            return [Connection("copies", name, "", "up", "take copies")]
        problem = f"{'; '.join(held_up)}. These notifications stay in the main queue meanwhile."
        return [Connection("copies", name, "", "down", "take no copies", printable(problem))]

    def _kafka(self) -> Connection:
        if self._config.kafka is None:
            text = "nothing is sent here"
            return Connection("kafka", "Kafka", "", "unused", text)
        about = self._config.kafka.topic
        missing = self._health.kafka.removeprefix("kafka: ")
        if not missing:
            return Connection("kafka", "Kafka", about, "up", "answers")
        problem = f"Kafka does not answer ({missing}). Notifications wait until it does."
        return Connection("kafka", "Kafka", about, "down", "does not answer", problem)

    def _services(self) -> list[Connection]:
        config = self._config
        warehouse = urlsplit(config.datawarehouse.url).netloc
        jira = urlsplit(config.jira.url).netloc if config.jira else None
        delayed = "Notifications that need it wait, or are delayed."
        return [
            _service("datawarehouse", "DataWarehouse", warehouse, delayed),
            *self._gitlab_hosts(delayed),
            _service("jira", "Jira", jira, "Messages are sent without their issues."),
        ]

    def _gitlab_hosts(self, consequence: str) -> list[Connection]:
        """Return how it is with each GitLab that is configured or was asked, the bad ones first."""
        states = metrics.connected.states("gitlab")
        asked = {host: it.trouble is None for host, it in states.items()}
        hosts = sorted(
            asked.keys() | self._config.gitlab_tokens, key=lambda it: (asked.get(it, True), it)
        )
        if not hosts:
            return [_service("gitlab", "GitLab", "anonymously", consequence)]
        return [
            _service("gitlab", "GitLab", host, consequence, host) for host in hosts[:_MOST_HOSTS]
        ]

    def _row(self, settled: Entry) -> Row:
        result = settled.result
        return Row(
            number=settled.number,
            time=_iso(settled.time),
            checkout_id=printable(settled.identity.checkout_id or ""),
            checkout_url=self._checkout_url(settled.identity.checkout_id or ""),
            merge_request=printable(_short(result.merge_request)),
            merge_request_url=_http_only(result.merge_request),
            status=printable(settled.identity.status or ""),
            outcome=result.outcome,
            reason=result.reason,
            stage=result.reason if result.outcome == "sent" else "",
            sentence=sentence(result.outcome, result.reason),
            error=printable(result.error),
            seconds=round(settled.seconds, 3),
        )

    def _checkout_url(self, checkout_id: str) -> str:
        if not checkout_id or checkout_id.endswith("…"):
            return ""  # there is none, or it was cut
        encoded = quote(checkout_id, safe="", errors="replace")
        return f"{self._config.datawarehouse.url}/kcidb/checkouts/{encoded}"


def _service(
    dependency: str, name: str, about: str | None, consequence: str, host: str = ""
) -> Connection:
    """Return how it is with a service that is asked over HTTP; ``about`` is None for none."""
    identifier = f"{dependency}:{printable(host)}" if host else dependency
    if about is None:
        return Connection(identifier, name, "", "unused", "not configured")
    about = printable(about)
    state = metrics.connected.states(dependency).get(host)
    if state is None:
        return Connection(identifier, name, about, "unknown", "not asked yet")
    if state.trouble is None:
        return Connection(identifier, name, about, "up", "answers")
    problem = f"{name} at {about} did not answer properly when it was last asked. {consequence}"
    return Connection(identifier, name, about, "down", "did not answer", problem)


def _value(name: str, **labels: str) -> float | None:
    return metrics.REGISTRY.get_sample_value(name, labels)


def _iso(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _short(url: str) -> str:
    """Return a merge request's name as people say it, as ``kernel!12``; else the address."""
    try:
        link = merge_request_link(url)
    except ValueError:
        return url
    return f"{link.project.rpartition('/')[2]}!{link.number}"


def _http_only(url: str) -> str:
    """Return an address that may be followed, ``""`` for any other."""
    try:
        is_web = urlsplit(url).scheme in {"http", "https"}
    except ValueError:
        is_web = False
    return url if is_web and url.isprintable() and not url.endswith("…") else ""
