"""How it is with each of those we talk to, and what is wrong with it."""

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

#: For the person on call, with a section for each alert.
RUNBOOK = "https://gitlab.com/cki-project/cki-notifier/-/blob/main/docs/runbook.md"
#: No more of GitLab's hosts are shown: the documents of others name them.
_MOST_HOSTS = 20
#: With that begins what RabbitMQ says while it is short of memory or disk.
_ACCEPTS_NOTHING = "RabbitMQ accepts no messages"
_CODE = re.compile(r"answered ([1-5][0-9][0-9])(?![0-9])")
_DOCTOR = "Run cki-notifier doctor: it tells network, TLS, login and rights apart."
_DELAYED = ("Notifications that need it wait, or are delayed", "ServiceFailing")
#: Of what is asked over HTTP: its name, what comes of it when it does not answer, and the section
#: of the runbook about that.
_SERVICES = {
    "datawarehouse": ("DataWarehouse", *_DELAYED),
    "gitlab": ("GitLab", *_DELAYED),
    "jira": ("Jira", "Messages are sent without their issues", "EnrichmentFailing"),
}


class Problem(Struct, frozen=True, kw_only=True):
    """Something that an operator has to know.

    Attributes:
        id: of the connection it is about, or ``loop``, ``blocked``, ``copies``, ``standstill``,
            ``dead-letters``, ``delayed``.
        says: what is wrong.
        since: when it began, ISO 8601 in UTC; None when that is not known.
        answered: what was answered last, or became of the request; ``""`` where nothing was asked.
        means: what comes of it.
        do: what to do about it.
        runbook: the address of its section.
    """

    id: str
    says: str
    since: str | None = None
    answered: str = ""
    means: str
    do: str
    runbook: str


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


class Neighbour(NamedTuple):
    """A connection, and what is wrong with it."""

    connection: Connection
    problem: Problem | None = None


def runbook(alert: str) -> str:
    """Return the address of the section about an alert, without the beginning of its name."""
    return f"{RUNBOOK}#ckinotifier{alert.lower()}"


def look(config: Config, health: Health) -> Iterator[Neighbour]:
    """Yield how it is with each now."""
    yield _rabbitmq(config, health)
    if config.sends:
        yield _copies(health)
    yield _kafka(config, health)
    yield _service("datawarehouse", urlsplit(config.datawarehouse.url).netloc)
    hosts = _gitlab_hosts(config)
    for host in hosts:
        yield _service("gitlab", host, host)
    if not hosts:
        yield _service("gitlab", "anonymously")
    yield _service("jira", urlsplit(config.jira.url).netloc if config.jira else None)


def _rabbitmq(config: Config, health: Health) -> Neighbour:
    about = config.rabbitmq.queue if config.rabbitmq and config.sends else "a temporary queue"
    missing, state = health.liveness.missing, connected.states("rabbitmq").get("")
    if not missing:
        return _fine("rabbitmq", "RabbitMQ", about, "consumed")
    if missing == NOT_YET and state is None:
        return _fine("rabbitmq", "RabbitMQ", about, "is being connected to", state="unknown")
    problem = Problem(
        id="rabbitmq",
        says="The queue in RabbitMQ is not consumed",
        since=_since(state),
        answered=shown(missing.removeprefix("rabbitmq: ")),
        means="Notifications wait in it.",
        do=f"{_DOCTOR} When RabbitMQ is back, it is connected to within some 10 s.",
        runbook=runbook("NotReady"),
    )
    return _bad("rabbitmq", "RabbitMQ", about, "not consumed", problem)


def _copies(health: Health) -> Neighbour:
    """Return how it is with the queues that copies go to."""
    name = "Retry and dead-letter queues"
    held_up = [shown(it.removeprefix("rabbitmq: ")) for it in health.liveness.held_up]
    if not held_up:
        return _fine("copies", name, "", "take copies")
    if alarms := [it for it in held_up if it.startswith(_ACCEPTS_NOTHING)]:
        problem = Problem(
            id="blocked",
            says=alarms[0],
            means="So nobody's new notifications are accepted, either; what is in the queue goes "
            "on, and what fails stays in it.",
            do="Hand it to those who run RabbitMQ: it needs memory or disk space. All goes on by "
            "itself then.",
            runbook=runbook("RabbitMQBlocked"),
        )
    else:
        problem = Problem(
            id="copies",
            says="; ".join(held_up),
            means="These notifications stay in the main queue meanwhile.",
            do="Take dead letters out, lift the limit, or bring the queue back.",
            runbook=runbook("CopiesHeld"),
        )
    return _bad("copies", name, "", "take no copies", problem)


def _kafka(config: Config, health: Health) -> Neighbour:
    if config.kafka is None:
        return _fine("kafka", "Kafka", "", "nothing is sent here", state="unused")
    about = config.kafka.topic
    missing = health.kafka  # asks, so that the state is of now
    state = connected.states("kafka").get("")
    if missing:
        problem = Problem(
            id="kafka",
            says="Kafka does not answer",
            since=_since(state),
            answered=shown(missing.removeprefix("kafka: ")),
            means="Notifications wait until it does.",
            do=f"{_DOCTOR} When Kafka is back, all goes on by itself.",
            runbook=runbook("NotReady"),
        )
        return _bad("kafka", "Kafka", about, "does not answer", problem)
    if state and state.trouble:
        problem = Problem(
            id="kafka",
            says="Kafka answers, and confirms no messages",
            since=iso(state.since),
            answered=shown(state.trouble.says),
            means=_affected("Notifications wait, or are delayed", state),
            do=f"{_DOCTOR} Hand it to those who run Kafka.",
            runbook=runbook("KafkaDeliveriesFailing"),
        )
        return _bad("kafka", "Kafka", about, "confirms nothing", problem)
    return _fine("kafka", "Kafka", about, "answers")


def _gitlab_hosts(config: Config) -> list[str]:
    """Return each GitLab that is configured or was asked, the bad ones first."""
    is_up = {host: it.trouble is None for host, it in connected.states("gitlab").items()}
    hosts = is_up.keys() | config.gitlab_tokens.keys()
    return sorted(hosts, key=lambda it: (is_up.get(it, True), it))[:_MOST_HOSTS]


def _service(dependency: str, about: str | None, host: str = "") -> Neighbour:
    """Return how it is with a service that is asked over HTTP; it is at None if not configured."""
    name, means, section = _SERVICES[dependency]
    identifier = f"{dependency}:{printable(host)}" if host else dependency
    if about is None:
        return _fine(identifier, name, "", "not configured", state="unused")
    about = printable(about)
    state = connected.states(dependency).get(host)
    if state is None:
        return _fine(identifier, name, about, "not asked yet", state="unknown")
    if (trouble := state.trouble) is None:
        return _fine(identifier, name, about, "answers")
    do = "Tell those who run it. When it answers again, what waits goes on by itself."
    if trouble.again:
        do = f"{do[:-1]}; {shown(trouble.again)}."
    if trouble.refuses:
        do = "Replace its token, or let it read what is asked for, and restart: it is read once."
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
    """Say in a few words what a service does instead of answering well."""
    if trouble.refuses:
        return "refuses our token"
    code = _CODE.search(trouble.says)
    if code and code[1] not in {"200", "404"}:
        return f"answers {code[1]}"
    is_silent = not code and "answer" not in trouble.says
    return "does not answer" if is_silent else "does not answer as it should"


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
