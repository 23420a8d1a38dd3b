"""Numbers and names in pages are those of the code and the manifests.

A row has some words of a page, with a mark in place of each number or name, and their sources:

- an attribute of one of our modules,
- a value in a YAML file (``file:path``),
- the match of a pattern in any other file (``file~pattern``).

When a source changes, the test names the words that became untrue.
"""

import re
from pkgutil import resolve_name
from typing import Any, Final

import pytest
import yaml

from cki_notifier.configuration.settings import GROUPS
from cki_notifier.rabbitmq.queues import DELAYS, delay_queue
from cki_notifier.workers.shares import shares_of
from tools import PROJECT

#: The unit of a number, behind the colon of a mark.
UNITS: Final = {
    "min": 60,
    "minutes": 60,
    "h": 3600,
    "days": 86_400,
    "kB": 1024,
    "MiB": 1024**2,
}
WORDS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

IN_FLIGHT: Final = "variable:CKI_NOTIFIER_IN_FLIGHT"
PORT: Final = "variable:CKI_METRICS_PORT"
RETRY_HOURS: Final = "variable:CKI_NOTIFIER_RETRY_HOURS"
SHUTDOWN: Final = "variable:CKI_NOTIFIER_SHUTDOWN_SECONDS"
TOPIC: Final = "variable:KAFKA_TOPIC"
CLOSING: Final = "configuration.shutdown.CLOSING_SECONDS"
#: The limit of a document by default, and of the one with everything about a checkout.
DOCUMENT, EVERYTHING = "sources.datawarehouse._CHECKOUT", "sources.datawarehouse._CHECKOUT_PAGE"
HTTP: Final = "web.server"
POD: Final = "deploy/kubernetes/base/deployment.yaml:spec.template.spec"
PROBES: Final = f"{POD}.containers.0"
AUDIT: Final = "deploy/kubernetes/components/audit/cron-job.yaml:spec.jobTemplate.spec"
UNIT: Final = "deploy/systemd/cki-notifier.service"
KUBERNETES: Final = "tests/deploy/kubernetes/tools/install"
KAFKA_RANGES: Final = "configuration.kafka._RANGES"
KEDA: Final = "deploy/kubernetes/overlays/production/keda/scaled-object.yaml:spec"

FACTS: Final[dict[str, list[tuple[str, ...]]]] = {
    ".gitlab-ci.yml": [("image: python:{}-bookworm", r"Dockerfile~FROM python:(\d+\.\d+)")],
    "Dockerfile": [("EXPOSE {:0}", PORT)],
    "SECURITY.md": [
        (
            "has at most {:MiB} and {} objects",
            f"{DOCUMENT}.most_bytes",
            f"{DOCUMENT}.most_objects",
        ),
        (
            "or {:MiB} and {} objects with everything",
            f"{EVERYTHING}.most_bytes",
            "sources.datawarehouse._MOST_OBJECTS",
        ),
        ("above {:MiB} may grow", "sources.transfer.LARGE_BODY_BYTES"),
        ("may grow by at most {} times", "sources.transfer._MOST_GROWTH"),
        ("reads {:word-} documents above 1 MiB of a service", "sources.transfer.LARGE_BODIES"),
        ("and lists {} pages", "sources.http.MOST_PAGES"),
        ("requests for {} issues", "sources.jira._MOST_ISSUES"),
        ("at most {} of them one by one", "sources.jira._MOST_SINGLE"),
        ("A request ends after {:s},", f"{DOCUMENT}.seconds"),
        ("or {:s} to GitLab,", "sources.gitlab._REQUEST_SECONDS"),
        ("Work on a notification ends after {:min}.", "daemon.NOTIFICATION_SECONDS"),
        ("Jira has {:s}.", "sources.jira.LOOK_UP_SECONDS"),
        ("`Retry-After` counts up to {:s}.", "workers.gate.LONGEST_PROBE_SECONDS"),
        ("{} characters in the log (before escapes)", "telemetry.log._LONGEST"),
        ("{} in the error header of a copy", "rabbitmq.retries._LONGEST_ERROR"),
        ("{} on the status page", "telemetry.printable.LONGEST"),
        ("Secrets of {:word-} characters or more", "telemetry.sentry._SHORTEST_SECRET"),
        ("may take {:s} and {:kB},", f"{HTTP}._REQUEST_SECONDS", f"{HTTP}._LONGEST"),
        ("its answer {:s}.", f"{HTTP}._ANSWER_SECONDS"),
        (
            "holds at most {:word-} times `CKI_NOTIFIER_IN_FLIGHT` notifications",
            "workers.shares._PREFETCH_EACH",
        ),
    ],
    "compose.yaml": [
        ("KAFKA_TOPIC: {}", TOPIC),
        ("The daemon has {:s} for notifications in flight", SHUTDOWN),
    ],
    "deploy/monitoring/alerts.yaml": [
        ("After {} hours cki-notifier dead-letters it", RETRY_HOURS),
        ("It retries each one for {} hours", RETRY_HOURS),
    ],
    "docs/audit.md": [
        ("once more, {} seconds after the audit began", "audit.command._ON_ITS_WAY_SECONDS"),
        ("It waits for Kafka for {:minutes}.", "audit.command._TOPIC_SECONDS"),
        ("and after {:word-} failures in a row", "audit.compare._MANY"),
        ("in a row {:word-} seconds.", "audit.compare._SHORT_SECONDS"),
        ("or takes longer than {} seconds, a line on", "audit.push._SECONDS"),
        (
            "at most {} documents at a time (`--requests`)",
            r'cki_notifier/audit/arguments.py~"--requests",\s+type=\w+,\s+default=(\d+)',
        ),
        ("`schedule: {}`", "deploy/kubernetes/components/audit/cron-job.yaml:spec.schedule"),
        ("`activeDeadlineSeconds: {:0}`", f"{AUDIT}.activeDeadlineSeconds"),
        ("`backoffLimit: {}`", f"{AUDIT}.backoffLimit"),
        ("`ttlSecondsAfterFinished: {:0}`", f"{AUDIT}.ttlSecondsAfterFinished"),
    ],
    "docs/compose.md": [
        ("<http://127.0.0.1:{:0}>", PORT),
        ("the topic is `{}`", TOPIC),
    ],
    "docs/configuration.md": [
        (
            "The prefetch is {:word-} times this number, and at least {}.",
            "workers.shares._PREFETCH_EACH",
            "workers.shares._LEAST_PREFETCH",
        ),
        ("handles at once: 1 to {:0} notifications.", "configuration.checks._MOST_IN_FLIGHT"),
        ("Closing the connections takes up to {:s} more", CLOSING),
        ("`message.timeout.ms` | 1 to {:0} |", f"{KAFKA_RANGES}[delivery.timeout.ms][1]"),
        ("`message.max.bytes` | {:0} to", f"{KAFKA_RANGES}[message.max.bytes][0]"),
        ("to {:0} | ## HTTPS", f"{KAFKA_RANGES}[message.max.bytes][1]"),
        (
            "{} MiB suits the default",
            r"deploy/kubernetes/base/deployment.yaml~limits:\s+memory: (\d+)Mi",
        ),
        ("shorter than {:word-} characters", "telemetry.sentry._SHORTEST_SECRET"),
        ("one event of a kind in {:word-minutes}", "telemetry.sentry._QUIET_SECONDS"),
        ("process ends, for {:word-} seconds", "configuration.shutdown.SENTRY_SECONDS"),
    ],
    "docs/contract.md": [
        ("teams that read the topic `{}`", TOPIC),
        ("retries for up to {} hours", RETRY_HOURS),
    ],
    "docs/dead-letters.md": [
        ("the service that failed for {} h.", RETRY_HOURS),
        ("with all delays and {} h ahead", RETRY_HOURS),
        ("delivered more than {} times", "doctor.policies._USUAL_DELIVERIES"),
        ("with `x-delivery-limit` {}.", "rabbitmq.connection._MOST_DELIVERIES"),
        ("delivered {:word-} times or more", "dead_letters.walk._MANY_LOOKS"),
    ],
    "docs/delivery.md": [
        ("heard from RabbitMQ within the last {:s}", "rabbitmq.consume._FENCE_SECONDS"),
        ("(after `Retry-After`, up to {:s})", "workers.gate.LONGEST_PROBE_SECONDS"),
        ("An answer is above {:MiB},", f"{DOCUMENT}.most_bytes"),
        ("above {:MiB} for everything of a checkout", f"{EVERYTHING}.most_bytes"),
        ("or more than {} times its size on the wire", "sources.transfer._MOST_GROWTH"),
        ("Jira does not answer properly within {:s}", "sources.jira.LOOK_UP_SECONDS"),
        ("every {:s} if Jira refuses access", "workers.gate.LONGEST_PROBE_SECONDS"),
        (
            "reconnects after {:s} to {:s},",
            "rabbitmq.consume._PAUSES[0]",
            "rabbitmq.consume._PAUSES[-1]",
        ),
        ("recreated within {:s}", "rabbitmq.consume._BIND_SECONDS"),
        ("for at most {:s}, then declares the queue again", "rabbitmq.consume._ORPHANS_SECONDS"),
        ("that it holds, for at most {:s}, and reconnects", "rabbitmq.consume._ORPHANS_SECONDS"),
        (
            "*delayed*: {:s}, {:s}, {:min}, {:min}, then {:h} each time",
            *(f"rabbitmq.queues.DELAYS[{number}]" for number in range(5)),
        ),
        (
            "delayed by {:s}, {:s}, {:min}, {:min}, then dead letter",
            *(f"rabbitmq.queues.DELAYS[{number}]" for number in range(4)),
        ),
        ("after `CKI_NOTIFIER_RETRY_HOURS` ({})", RETRY_HOURS),
        ("prefetch | {:word-} times `CKI_NOTIFIER_IN_FLIGHT`", "workers.shares._PREFETCH_EACH"),
        ("notifications in progress | {:MiB};", "daemon._MOST_BYTES"),
        ("with pauses that grow to {:s}", "rabbitmq.republish._PAUSES[-1]"),
        ("Every {:word-} seconds the daemon checks", "web.watch._ACCEPTANCE_SECONDS"),
        ("({} in a queue that the daemon made)", "rabbitmq.queues._MOST_DELIVERIES"),
        ("declares its main queue with {};", "rabbitmq.queues._MOST_DELIVERIES"),
        ("Up to {} lines or", "telemetry.streams._MOST_LINES"),
        ("lines or {:MiB} wait for one", "telemetry.streams._MOST_BYTES"),
        ("the end of the process for {:s} at most", "configuration.shutdown.LINES_SECONDS"),
    ],
    "docs/deploy.md": [
        ("`CKI_NOTIFIER_SHUTDOWN_SECONDS` ({})", SHUTDOWN),
        ("closes its connections within {:s} more", CLOSING),
    ],
    "docs/doctor.md": [
        ("are over after {:s} (`--timeout", "doctor.arguments._SECONDS"),
        ("it takes longer than {:s}", "doctor.web._SLOW_SECONDS"),
        ("it expires within {} days", "doctor.gitlab._SOON_DAYS"),
    ],
    "docs/examples/consumer.py": [('TOPIC = "{}"', TOPIC)],
    "docs/image.md": [
        ("`CKI_NOTIFIER_SHUTDOWN_SECONDS` ({})", SHUTDOWN),
        ("connections within {:s} more", CLOSING),
        ("`docker stop --timeout {}`", r"compose.yaml~stop_grace_period: (\d+)s"),
        ("at port {:0} (`CKI_METRICS_PORT`)", PORT),
    ],
    "docs/kubernetes.md": [
        ("`terminationGracePeriodSeconds: {}`", f"{POD}.terminationGracePeriodSeconds"),
        ("`CKI_NOTIFIER_SHUTDOWN_SECONDS` ({})", SHUTDOWN),
        ("at most {:s} to close all connections", CLOSING),
        ("liveness every {:s},", f"{PROBES}.livenessProbe.periodSeconds"),
        ("has hung for {:s}:", "web.health._LONGEST_REST_SECONDS"),
        ("readiness every {:s},", f"{PROBES}.readinessProbe.periodSeconds"),
        (", timeout {:s} |", f"{PROBES}.readinessProbe.timeoutSeconds"),
        ("`/ready` waits up to {:s} for Kafka", "kafka.publish._CHECK_SECONDS"),
        (
            "When it has been ready for {:s}",
            "deploy/kubernetes/base/deployment.yaml:spec.minReadySeconds",
        ),
        ("After {:s}, it leaves the rest", SHUTDOWN),
        ("replica runs for each {} notifications", f"{KEDA}.triggers.0.metadata.value"),
        ("never fewer than {},", f"{KEDA}.minReplicaCount"),
        ("never more than {}.", f"{KEDA}.maxReplicaCount"),
        ("the requests of up to {} notifications", IN_FLIGHT),
        (
            "scrapes each replica every {:s}",
            r"deploy/kubernetes/base/service-monitor.yaml~interval: (\d+)s",
        ),
        (
            "memory limit {} MiB",
            r"deploy/kubernetes/base/deployment.yaml~limits:\s+memory: (\d+)Mi",
        ),
        (
            "strict schemas of Kubernetes {} and {},",
            rf"{KUBERNETES}~SCHEMAS='v(\d+\.\d+)",
            rf"{KUBERNETES}~SCHEMAS='\S+ v(\d+\.\d+)",
        ),
    ],
    "docs/monitoring.md": [
        ("to {} at kafka", TOPIC),
        ("{} at once; status page on port", IN_FLIGHT),
        ("status page on port {:0}", PORT),
    ],
    "docs/performance.md": [
        ("With {} notifications in flight, the daemon stays", IN_FLIGHT),
        ("daemon stays below {} MiB", r"tests/faults/neighbours/judgement.py~ROOM = (\d+)"),
        (
            "of the services | {} |",
            r"tests/sources/test_memory.py~MOST_MIB = (\d+)",
        ),
        ("| up to {:MiB} are in progress", "daemon._MOST_BYTES"),
        ("and up to {:MiB} wait as copies", "daemon._MOST_BYTES"),
        ("take turns, {:word-} for each service", "sources.transfer.LARGE_BODIES"),
        ("up to {:MiB} each from DataWarehouse", f"{EVERYTHING}.most_bytes"),
        ("{:MiB} from GitLab and Jira", "sources.jira._LARGEST_BODY_BYTES"),
    ],
    "docs/read-the-topic.md": [
        ("on the topic `{}`", TOPIC),
        ("up to {:minutes}. Later records wait", "docs.examples.consumer.LONGEST_PAUSE"),
        ("remembers them for {:days}.", "docs.examples.consumer.MEMORY_SECONDS"),
    ],
    "docs/replicas.md": [
        ("at most {:word-} times `CKI_NOTIFIER_IN_FLIGHT`", "workers.shares._PREFETCH_EACH"),
        ('"x-delivery-limit": {:0}}}', "rabbitmq.queues._MOST_DELIVERIES"),
        ("name={} durable=true", "variable:RABBITMQ_QUEUE"),
    ],
    "docs/rotate-a-token.md": [("`CKI_NOTIFIER_RETRY_HOURS` ({})", RETRY_HOURS)],
    "docs/runbook.md": [
        ("at most {:minutes} each", "daemon.NOTIFICATION_SECONDS"),
        (
            "after {:s}, then every {:s}, for",
            "rabbitmq.queues.DELAYS[0]",
            "rabbitmq.queues.DELAYS[1]",
        ),
        ("for {} hours, and then [dead-letters]", RETRY_HOURS),
        ("messages late. After {} hours cki-notifier dead-letters the notifications", RETRY_HOURS),
        ("one message. After {} hours cki-notifier dead-letters its", RETRY_HOURS),
        ("and after {} hours cki-notifier dead-letters", RETRY_HOURS),
        ("cki-notifier continues within {:s}.", "rabbitmq.republish._PAUSES[-1]"),
        ("when Jira answers within {:seconds}.", "sources.jira.LOOK_UP_SECONDS"),
        ("a running daemon restores them within {:s}.", "rabbitmq.consume._BIND_SECONDS"),
        ("--topic {}", TOPIC),
        ("Ended by its time limit ({:minutes})", f"{AUDIT}.activeDeadlineSeconds"),
    ],
    "docs/services.md": [("is retried every {:s}.", "workers.gate.LONGEST_PROBE_SECONDS")],
    "docs/why-no-message.md": [
        ("-t {} -f", TOPIC),
        (":{:0}/?q=", PORT),
        ("Each process shows its last {} outcomes", "telemetry.outcomes.KEPT"),
    ],
    "docs/tutorial.md": [("with Python {} or newer", "tools.supply.locks.OLDEST_PYTHON")],
    "docs/status-page.md": [
        ("`CKI_METRICS_PORT` ({:0})", PORT),
        (
            "refreshes itself every {:s} while",
            r"cki_notifier/web/assets/page.js~EVERY_MS = (\d+)000;",
        ),
        *(
            (
                "path: {0}, port: {1:0}}} periodSeconds: {2} timeoutSeconds: {3}",
                f"{PROBES}.{probe}.httpGet.path",
                PORT,
                f"{PROBES}.{probe}.periodSeconds",
                f"{PROBES}.{probe}.timeoutSeconds",
            )
            for probe in ("livenessProbe", "readinessProbe")
        ),
        ("RabbitMQ reports the queues every {:s};", "web.watch._LENGTHS_SECONDS"),
        ("the last {} since the process started", "telemetry.outcomes.KEPT"),
        ("the process started, {} at once", "web.status.MOST_SHOWN"),
        ("have waited for {:minutes}, and this process", "web.verdict._STANDSTILL_SECONDS"),
        ("for {:minutes}, though a notification was", "web.verdict._STANDSTILL_SECONDS"),
        ("such as {0} of {0} being processed", IN_FLIGHT),
        ("the last {} about checkouts, the newest", "telemetry.outcomes.KEPT"),
        ("the newest {} of one checkout", "web.checkout._MOST"),
        ("and {:MiB} of messages", "telemetry.outcomes._MOST_MESSAGES"),
        ("the oldest {} notifications in flight", "web.status.MOST_SHOWN"),
        ("the {} delayed notifications that return next", "web.status.MOST_SHOWN"),
        ("`/ready` takes up to {:s}; allow", "kafka.publish._CHECK_SECONDS"),
        ("All requests within {:s} share", "web.health._KEPT_SECONDS"),
        ("consumer has not run for {:s}, which", "web.health._LONGEST_REST_SECONDS"),
        ("A request may take {:s} and {:kB},", f"{HTTP}._REQUEST_SECONDS", f"{HTTP}._LONGEST"),
        ("its answer {:s};", f"{HTTP}._ANSWER_SECONDS"),
        ("At most {} connections send a request", f"{HTTP}._MOST_SENDING"),
        ("{} wait for an answer,", f"{HTTP}._MOST_WAITING"),
        ("and {} receive a large one", f"{HTTP}._MOST_TAKING"),
    ],
    "docs/systemd.md": [
        ("`CKI_NOTIFIER_SHUTDOWN_SECONDS` ({})", SHUTDOWN),
        ("in flight, {} to close connections", CLOSING),
        ("sends SIGTERM and waits {} seconds", rf"{UNIT}~TimeoutStopSec=(\d+)s"),
        ("restarts the daemon {} seconds after it ends", rf"{UNIT}~RestartSec=(\d+)s"),
    ],
    "docs/upgrade.md": [
        ("`docker stop --timeout {} NAME`", r"compose.yaml~stop_grace_period: (\d+)s"),
    ],
    "README.md": [
        ("to the Kafka topic `{}` when", TOPIC),
        ("Debian or a similar system and Python {} or newer", "tools.supply.locks.OLDEST_PYTHON"),
    ],
    "pyproject.toml": [('requires-python = ">={}"', "tools.supply.locks.OLDEST_PYTHON")],
    "scripts/setup.sh": [
        (
            "in python3 python{} python{} python{} python{};",
            *(f"tools.supply.locks.PYTHONS[{number}]" for number in (3, 2, 1, 0)),
        ),
    ],
    "tools/deployment/dashboard.yaml": [
        ("After {} hours it becomes a dead letter.", RETRY_HOURS),
        ("As RabbitMQ reports them every {:s}.", "web.watch._LENGTHS_SECONDS"),
    ],
}


class Fact:
    """A number or a name, as a page writes it."""

    def __init__(self, place: str) -> None:
        self._value = looked_up(place)

    def __format__(self, unit: str) -> str:
        """Return it in a unit, as a ``word-``, or (``0``) without anything between its digits."""
        if isinstance(self._value, str) and not self._value.isdigit():
            return self._value
        number = float(self._value)
        if unit == "0":
            return str(int(number))
        form, _, unit = unit.rpartition("-")
        number /= UNITS.get(unit, 1)
        text = WORDS[int(number)] if form == "word" else f"{number:,.10g}"
        return f"{text} {unit}".strip()


def looked_up(place: str) -> Any:
    """Return what is at a place: in a module of ours, or in a YAML file."""
    if found := re.fullmatch(r"([^~]+)~(.+)", place):
        match = re.search(found[2], (PROJECT / found[1]).read_text())
        assert match, place
        return match[1]
    file, _, path = place.partition(":")
    if file == "variable":
        return next(it.default for group in GROUPS.values() for it in group if it.name == path)
    if path:
        value = yaml.safe_load((PROJECT / file).read_text())
        for step in path.split("."):
            value = value[int(step) if isinstance(value, list) else step]
        return value
    name, *keys = re.split(r"[\[\]]+", place.rstrip("]"))
    value = resolve_name(name if name.startswith(("docs.", "tools.")) else f"cki_notifier.{name}")
    for key in keys:
        value = value[int(key) if key.lstrip("-").isdigit() else key]
    return value


@pytest.mark.parametrize("page", FACTS)
def test_what_a_page_repeats_is_true(page: str) -> None:
    """The page has these words, with the numbers and names as they are now, however it wraps."""
    text = " ".join((PROJECT / page).read_text().split())
    said = [words.format(*map(Fact, places)) for words, *places in FACTS[page]]
    assert [words for words in said if words.lower() not in text.lower()] == []


def test_the_delay_queues_are_called_by_their_delays() -> None:
    """The table of queues names all of them."""
    first, *others = (delay_queue("<queue>", seconds) for seconds in DELAYS)
    names = [first, *(name.removeprefix("<queue>.retry") for name in others)]
    text = (PROJECT / "docs" / "delivery.md").read_text()
    assert f"| {', '.join(f'`{name}`' for name in names)} |" in text


def test_as_many_as_the_configuration_takes_can_be_fetched() -> None:
    """AMQP has 16 bits for how many."""
    most = resolve_name("cki_notifier.configuration.checks._MOST_IN_FLIGHT")
    assert shares_of(most).prefetch < 2**16 <= shares_of(most + 1).prefetch
