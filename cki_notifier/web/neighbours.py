"""How it is with each of those we talk to, and what is wrong with it."""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from cki_notifier.configuration.settings import Config
from cki_notifier.rabbitmq.liveness import NOT_YET
from cki_notifier.telemetry import metrics
from cki_notifier.telemetry.connections import State, Trouble
from cki_notifier.telemetry.printable import printable
from cki_notifier.web.health import Health
from cki_notifier.web.links import cut
from cki_notifier.web.problems import Problem, runbook
from cki_notifier.web.rows import iso

#: No more of GitLab's hosts are shown: the documents of others name them.
_MOST_HOSTS = 20
#: With that begins what RabbitMQ says while it is short of memory or disk.
ACCEPTS_NOTHING = "RabbitMQ accepts no messages"
_CODE = re.compile(r"answered ([1-5][0-9][0-9])(?![0-9])")
_DOCTOR = "Run cki-notifier doctor: it tells network, TLS, login and rights apart."


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


class Neighbour(Struct, frozen=True):
    """A connection, and what is wrong with it."""

    connection: Connection
    problem: Problem | None = None


class _Service(Struct, frozen=True):
    """One that is asked over HTTP.

    Attributes:
        about: where it is; None when it is not configured.
        means: what comes of it when it does not answer.
        section: of the runbook, about that.
        host: tells services of one name apart.
    """

    dependency: str
    name: str
    about: str | None
    means: str
    section: str
    host: str = ""


class Neighbours:
    """Knows how it is with all of them.

    Args:
        config: of the process.
        health: of the process.
    """

    def __init__(self, config: Config, health: Health) -> None:
        self._config = config
        self._health = health

    def look(self) -> list[Neighbour]:
        """Return how it is with each now."""
        return [self._rabbitmq(), *self._copies(), self._kafka(), *self._services()]

    def _rabbitmq(self) -> Neighbour:
        config = self._config.rabbitmq
        about = config.queue if config and self._config.sends else "a temporary queue"
        missing, state = self._health.rabbitmq, _states("rabbitmq").get("")
        if not missing:
            return _fine("rabbitmq", "RabbitMQ", about, "consumed")
        if missing == NOT_YET and state is None:
            return _fine("rabbitmq", "RabbitMQ", about, "is being connected to", state="unknown")
        problem = Problem(
            id="rabbitmq",
            says="The queue in RabbitMQ is not consumed",
            since=_since(state),
            answered=_shown(missing.removeprefix("rabbitmq: ")),
            means="Notifications wait in it.",
            do=f"{_DOCTOR} When RabbitMQ is back, it is connected to within some 10 s.",
            runbook=runbook("CKINotifierNotReady"),
        )
        return _bad("RabbitMQ", about, "not consumed", problem)

    def _copies(self) -> list[Neighbour]:
        """Return how it is with the queues that copies go to, where there are any."""
        if not self._config.sends:
            return []
        name = "Retry and dead-letter queues"
        held_up = [_shown(it.removeprefix("rabbitmq: ")) for it in self._health.held_up]
        if not held_up:
            return [_fine("copies", name, "", "take copies")]
        if any(it.startswith(ACCEPTS_NOTHING) for it in held_up):
            says = next(it for it in held_up if it.startswith(ACCEPTS_NOTHING))
            problem = Problem(
                id="blocked",
                says=says,
                means="So nobody's new notifications are accepted, either; what is in the queue "
                "goes on, and what fails stays in it.",
                do="Hand it to those who run RabbitMQ: it needs memory or disk space. All goes on "
                "by itself then.",
                runbook=runbook("CKINotifierRabbitMQBlocked"),
            )
        else:
            problem = Problem(
                id="copies",
                says="; ".join(held_up),
                means="These notifications stay in the main queue meanwhile.",
                do="Take dead letters out, lift the limit, or bring the queue back.",
                runbook=runbook("CKINotifierCopiesHeld"),
            )
        return [_bad(name, "", "take no copies", problem, identifier="copies")]

    def _kafka(self) -> Neighbour:
        if self._config.kafka is None:
            return _fine("kafka", "Kafka", "", "nothing is sent here", state="unused")
        about = self._config.kafka.topic
        missing = self._health.kafka  # asks, so that the state is of now
        state = _states("kafka").get("")
        if missing:
            problem = Problem(
                id="kafka",
                says="Kafka does not answer",
                since=_since(state),
                answered=_shown(missing.removeprefix("kafka: ")),
                means="Notifications wait until it does.",
                do=f"{_DOCTOR} When Kafka is back, all goes on by itself.",
                runbook=runbook("CKINotifierNotReady"),
            )
            return _bad("Kafka", about, "does not answer", problem)
        if state and state.trouble:
            problem = Problem(
                id="kafka",
                says="Kafka answers, and confirms no messages",
                since=iso(state.since),
                answered=_shown(state.trouble.says),
                means=_affected("Notifications wait, or are delayed", state),
                do=f"{_DOCTOR} Hand it to those who run Kafka.",
                runbook=runbook("CKINotifierKafkaDeliveriesFailing"),
            )
            return _bad("Kafka", about, "confirms nothing", problem)
        return _fine("kafka", "Kafka", about, "answers")

    def _services(self) -> list[Neighbour]:
        config = self._config
        warehouse = urlsplit(config.datawarehouse.url).netloc
        jira = urlsplit(config.jira.url).netloc if config.jira else None
        delayed = ("Notifications that need it wait, or are delayed", "ServiceFailing")
        without = ("Messages are sent without their issues", "EnrichmentFailing")
        hosts = self._gitlab_hosts()
        return [
            _look(_Service("datawarehouse", "DataWarehouse", warehouse, *delayed)),
            *(_look(_Service("gitlab", "GitLab", it, *delayed, host=it)) for it in hosts),
            *([] if hosts else [_look(_Service("gitlab", "GitLab", "anonymously", *delayed))]),
            _look(_Service("jira", "Jira", jira, *without)),
        ]

    def _gitlab_hosts(self) -> list[str]:
        """Return each GitLab that is configured or was asked, the bad ones first."""
        is_up = {host: it.trouble is None for host, it in _states("gitlab").items()}
        hosts = is_up.keys() | self._config.gitlab_tokens.keys()
        return sorted(hosts, key=lambda it: (is_up.get(it, True), it))[:_MOST_HOSTS]


def _look(service: _Service) -> Neighbour:
    """Return how it is with a service."""
    identifier = service.dependency + (f":{printable(service.host)}" if service.host else "")
    name = service.name
    if service.about is None:
        return _fine(identifier, name, "", "not configured", state="unused")
    about = printable(service.about)
    state = _states(service.dependency).get(service.host)
    if state is None:
        return _fine(identifier, name, about, "not asked yet", state="unknown")
    if (trouble := state.trouble) is None:
        return _fine(identifier, name, about, "answers")
    section, says = service.section, _says(trouble)
    do = "Tell those who run it. When it answers again, what waits goes on by itself."
    if trouble.again:
        do = f"{do[:-1]}; {_shown(trouble.again)}."
    if trouble.refuses:
        do = "Replace its token, or let it read what is asked for, and restart: it is read once."
        section = "TokenRefused"
    problem = Problem(
        id=identifier,
        says=f"{name} at {about} {says}",
        since=iso(state.since),
        answered=_shown(trouble.says),
        means=_affected(service.means, state),
        do=do,
        runbook=runbook(f"CKINotifier{section}"),
    )
    return _bad(name, about, says, problem)


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


def _fine(identifier: str, name: str, about: str, says: str, state: str = "up") -> Neighbour:
    return Neighbour(Connection(identifier, name, about, state, says))


def _bad(name: str, about: str, says: str, problem: Problem, identifier: str = "") -> Neighbour:
    told = Connection(identifier or problem.id, name, about, "down", says, problem.text)
    return Neighbour(told, problem)


def _shown(text: str) -> str:
    return printable(cut(text))


def _states(dependency: str) -> Mapping[str, State]:
    return metrics.connected.states(dependency)


def _since(state: State | None) -> str | None:
    return iso(state.since) if state and state.trouble else None
