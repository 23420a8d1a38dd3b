"""The state of each connection, and the problem it has."""

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from msgspec import Struct

from cki_notifier.configuration.settings import Config
from cki_notifier.rabbitmq.liveness import NOT_YET
from cki_notifier.telemetry.connections import State, Trouble
from cki_notifier.telemetry.metrics import connected
from cki_notifier.telemetry.printable import printable
from cki_notifier.web.health import Health
from cki_notifier.web.rows import iso, shown

#: The runbook: a section for each alert.
RUNBOOK = "https://gitlab.com/cki-project/cki-notifier/-/blob/main/docs/runbook.md"
#: The most GitLab hosts shown. Documents from others name them, so there may be any number.
_MOST_HOSTS = 20
#: The start of the sentence about RabbitMQ's memory or disk alarm.
_ACCEPTS_NOTHING = "RabbitMQ accepts no messages"
_CODE = re.compile(r"answered ([1-5][0-9][0-9])(?![0-9])")
_DOCTOR = "Run cki-notifier doctor: it checks network, TLS, login and permissions one by one."
_DELAYED = ("Notifications that need it wait or are delayed", "ServiceFailing")
#: Each HTTP service: its name, the consequence of its outage, and the runbook's section about it.
_SERVICES = {
    "datawarehouse": ("DataWarehouse", *_DELAYED),
    "gitlab": ("GitLab", *_DELAYED),
    "jira": ("Jira", "Messages are sent without their Jira issues", "EnrichmentFailing"),
}


class Problem(Struct, frozen=True, kw_only=True):
    """A problem that an operator has to know.

    Attributes:
        id: the connection's, or ``loop``, ``blocked``, ``copies``, ``standstill``,
            ``dead-letters``, ``delayed``.
        says: the problem in a few words.
        since: its start, ISO 8601 in UTC; None when unknown.
        answered: the last answer or the last error; ``""`` where there was no request.
        means: its consequence.
        do: the operator's next step.
        runbook: the address of the runbook's section.
    """

    id: str
    says: str
    since: str | None = None
    answered: str = ""
    means: str
    do: str
    runbook: str


class Connection(Struct, frozen=True):
    """The state of one connection.

    Attributes:
        id: as in the metrics' labels, followed by a colon and the host where there are several;
            ``copies`` for the retry and dead-letter queues.
        about: the queue, topic or host.
        state: ``up``, ``down``, ``unknown`` (no request yet) or ``unused``.
        says: the state in a few words.
        problem: the problem and its consequence in a sentence or two; ``""`` unless ``down``.
    """

    id: str
    name: str
    about: str
    state: str
    says: str
    problem: str = ""


class Neighbour(NamedTuple):
    """A connection, with its problem if it has one."""

    connection: Connection
    problem: Problem | None = None


def runbook(alert: str) -> str:
    """Return the address of an alert's section; ``alert`` is its name without ``CKINotifier``."""
    return f"{RUNBOOK}#ckinotifier{alert.lower()}"


def look(config: Config, health: Health) -> Iterator[Neighbour]:
    """Yield the present state of each connection."""
    yield _rabbitmq(config, health)
    if config.sends:
        yield _copies(health)
    yield _kafka(config, health)
    yield _service("datawarehouse", urlsplit(config.datawarehouse.url).netloc)
    hosts = _gitlab_hosts(config)
    for host in hosts:
        yield _service("gitlab", host, host)
    if not hosts:
        yield _service("gitlab", "anonymous")
    yield _service("jira", urlsplit(config.jira.url).netloc if config.jira else None)


def _rabbitmq(config: Config, health: Health) -> Neighbour:
    about = config.rabbitmq.queue if config.rabbitmq and config.sends else "a temporary queue"
    queue, means = "the main queue", "Notifications wait in the queue."
    if not config.sends:
        queue, means = "its temporary queue", "This process prints no messages."
    missing, state = health.liveness.missing, connected.states("rabbitmq").get("")
    if not missing:
        return _fine("rabbitmq", "RabbitMQ", about, "consuming")
    if missing == NOT_YET and state is None:
        return _fine("rabbitmq", "RabbitMQ", about, "connecting", state="unknown")
    problem = Problem(
        id="rabbitmq",
        says=f"This process does not consume {queue}",
        since=_since(state),
        answered=shown(missing.removeprefix("rabbitmq: ")),
        means=means,
        do=f"{_DOCTOR} When RabbitMQ is back, the process reconnects within about 10 s.",
        runbook=runbook("NotReady"),
    )
    return _bad("rabbitmq", "RabbitMQ", about, "not consuming", problem)


def _copies(health: Health) -> Neighbour:
    """Return the state of the retry and dead-letter queues, which hold copies."""
    name = "Retry and dead-letter queues"
    held_up = [shown(it.removeprefix("rabbitmq: ")) for it in health.liveness.held_up]
    if not held_up:
        return _fine("copies", name, "", "accept notifications")
    if alarms := [it for it in held_up if it.startswith(_ACCEPTS_NOTHING)]:
        problem = Problem(
            id="blocked",
            says=alarms[0],
            means="RabbitMQ accepts no new notifications from DataWarehouse either. The process "
            "still handles the main queue; notifications that fail stay in it.",
            do="Ask the team that runs RabbitMQ to free memory or disk space. The process then "
            "continues by itself.",
            runbook=runbook("RabbitMQBlocked"),
        )
    else:
        problem = Problem(
            id="copies",
            says="; ".join(held_up),
            means="These notifications stay in the main queue.",
            do="Retry or discard dead letters, raise the queue's limit, or restore the queue.",
            runbook=runbook("CopiesHeld"),
        )
    return _bad("copies", name, "", "accept no notifications", problem)


def _kafka(config: Config, health: Health) -> Neighbour:
    if config.kafka is None:
        return _fine("kafka", "Kafka", "", "not used here", state="unused")
    about = config.kafka.topic
    missing = health.kafka  # asks Kafka, so that the state is current
    state = connected.states("kafka").get("")
    if missing:
        problem = Problem(
            id="kafka",
            says="Kafka does not answer",
            since=_since(state),
            answered=shown(missing.removeprefix("kafka: ")),
            means="Notifications wait until Kafka answers.",
            do=f"{_DOCTOR} When Kafka is back, the process continues by itself.",
            runbook=runbook("NotReady"),
        )
        return _bad("kafka", "Kafka", about, "does not answer", problem)
    if state and state.trouble:
        problem = Problem(
            id="kafka",
            says="Kafka answers but confirms no messages",
            since=iso(state.since),
            answered=shown(state.trouble.says),
            means=_affected("Notifications wait or are delayed", state),
            do=f"{_DOCTOR} Tell the team that runs Kafka.",
            runbook=runbook("KafkaDeliveriesFailing"),
        )
        return _bad("kafka", "Kafka", about, "confirms nothing", problem)
    return _fine("kafka", "Kafka", about, "answers")


def _gitlab_hosts(config: Config) -> list[str]:
    """Return the GitLab hosts of the configuration and of requests, those that are down first."""
    is_up = {host: it.trouble is None for host, it in connected.states("gitlab").items()}
    hosts = is_up.keys() | config.gitlab_tokens.keys()
    return sorted(hosts, key=lambda it: (is_up.get(it, True), it))[:_MOST_HOSTS]


def _service(dependency: str, about: str | None, host: str = "") -> Neighbour:
    """Return the state of an HTTP service; ``about`` is None if it is not configured."""
    name, means, section = _SERVICES[dependency]
    identifier = f"{dependency}:{printable(host)}" if host else dependency
    if about is None:
        return _fine(identifier, name, "", "not configured", state="unused")
    about = printable(about)
    state = connected.states(dependency).get(host)
    if state is None:
        return _fine(identifier, name, about, "no request yet", state="unknown")
    if (trouble := state.trouble) is None:
        return _fine(identifier, name, about, "answers")
    do = "Tell the team that runs it. When it answers again, the process continues by itself."
    if again := shown(trouble.again):
        do = f"{do} {again[0].upper()}{again[1:]}."
    if trouble.refuses:
        do = "Replace the token, or give it read access. Then restart the process: it reads tokens "
        do += "only at its start."
        section = "TokenRefused"
    says = _says(trouble)
    problem = Problem(
        id=identifier,
        says=f"{name} at {about} {says}",
        since=iso(state.since),
        answered=shown(trouble.says),
        means=_affected(means, state),
        do=do,
        runbook=runbook(section),
    )
    return _bad(identifier, name, about, says, problem)


def _says(trouble: Trouble) -> str:
    """Say in a few words how a service fails."""
    if trouble.refuses:
        return "refuses our token"
    code = _CODE.search(trouble.says)
    if code and code[1] not in {"200", "404"}:
        return f"answers {code[1]}"
    is_silent = not code and "answer" not in trouble.says
    return "does not answer" if is_silent else "gives no valid answer"


def _affected(means: str, state: State) -> str:
    return f"{means}: {state.affected:,} since then." if state.affected else f"{means}."


def _since(state: State | None) -> str | None:
    return iso(state.since) if state and state.trouble else None


def _fine(identifier: str, name: str, about: str, says: str, state: str = "up") -> Neighbour:
    return Neighbour(Connection(identifier, name, about, state, says))


def _bad(identifier: str, name: str, about: str, says: str, problem: Problem) -> Neighbour:
    since = f" since {problem.since[11:16]} UTC" if problem.since else ""
    answered = f" ({problem.answered})" if problem.answered else ""
    told = f"{problem.says}{since}{answered}. {problem.means}"
    return Neighbour(Connection(identifier, name, about, "down", says, told), problem)
