"""The command line: arguments, configuration, wiring, signals, exit codes."""

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from cki_notifier import __version__
from cki_notifier.audit.arguments import add_audit, fault_of
from cki_notifier.by_hand import run as manual
from cki_notifier.by_hand.arguments import EPILOG, add_by_hand, add_explain
from cki_notifier.by_hand.arguments import fault_of as fault_by_hand
from cki_notifier.checkout.reference import checkout_reference
from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.configuration.environment import of_process
from cki_notifier.configuration.settings import (
    Config,
    RabbitMQConfig,
    read_config,
    read_operator_config,
)
from cki_notifier.configuration.shutdown import GOODBYE_SECONDS, RECORDS_SECONDS
from cki_notifier.daemon import Daemon
from cki_notifier.dead_letters import command as dead_letters
from cki_notifier.dead_letters.arguments import add_dead_letters
from cki_notifier.dead_letters.reading import read_letters
from cki_notifier.doctor.arguments import add_doctor
from cki_notifier.kafka.client import setting_faults
from cki_notifier.kafka.ledger import Ledger
from cki_notifier.kafka.publish import Publisher
from cki_notifier.message.contract import schema
from cki_notifier.message.unsent import Shown, Unsent
from cki_notifier.notification.errors import ConfigurationError
from cki_notifier.notification.models import Status
from cki_notifier.pipeline import Pipeline, Publishes
from cki_notifier.sources.datawarehouse import DataWarehouse
from cki_notifier.sources.gitlab import GitLab
from cki_notifier.sources.http import HTTP
from cki_notifier.sources.jira import JiraIssues
from cki_notifier.sources.load import Loader
from cki_notifier.sources.transfer import Transfers
from cki_notifier.telemetry import log, streams
from cki_notifier.telemetry.outcomes import Outcomes
from cki_notifier.telemetry.terminal import show, show_json, show_text
from cki_notifier.telemetry.unsettled import Unsettled
from cki_notifier.web.website import Website
from cki_notifier.workers import signals
from cki_notifier.workers.shares import shares_of
from cki_notifier.workers.threads import start_vital

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

logger = logging.getLogger(__name__)

_OK, _UNSHOWN, _FAULTY = 0, 1, 2
#: Between two looks of the main thread at the daemon's, in seconds: running, and stopping.
_WATCH_SECONDS, _STOPPING_WATCH_SECONDS = 1.0, 0.05
#: For the status page: the most dead letters, and the seconds to read them. An answer has 10.
_MOST_LETTERS, _LETTERS_SECONDS = 1000, 8.0
#: For writing the last line after a second signal, in seconds.
_LAST_LINE_SECONDS = 0.2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code.

    Args:
        arguments: without the program's name; None for the process' own.
    """
    parsed = _parse(arguments)
    try:
        return _COMMANDS.get(parsed.command, _notify)(parsed)
    except ConfigurationError as error:
        show("cki-notifier: the configuration has faults:")
        for fault in error.faults:
            show(f"  {fault}")
        return _FAULTY


class _Parser(argparse.ArgumentParser):
    """A parser that ends with exit code 1 if it can't print its help."""

    def _print_message(self, message: str, file: "SupportsWrite[str] | None" = None) -> None:
        """Print a text of argparse, which ignores errors itself."""
        if file is not sys.stdout:
            streams.write(sys.stderr, message)
        elif not show_text(message):
            self.exit(_UNSHOWN)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    whole = _Parser(
        prog="cki-notifier",
        description="Publish a Kafka message when a CKI kernel is ready for outside labs to test. "
        "Without arguments, run the daemon. All configuration comes from environment variables.",
        epilog=EPILOG,
    )
    whole.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    add_by_hand(whole)
    commands = whole.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser(
        "schema",
        help="print the JSON Schema of the ready-for-test message",
        description="Print the JSON Schema of the ready-for-test message. Needs no configuration.",
    )
    add_explain(commands)
    add_audit(commands)
    add_dead_letters(commands)
    add_doctor(commands)
    completing = commands.add_parser(
        "completion",
        help="print a completion script for a shell",
        description="Print a completion script for a shell. For bash, add "
        'eval "$(cki-notifier completion bash)" to ~/.bashrc. For zsh, save the script as '
        "_cki-notifier in a folder of $fpath. For fish, save it as "
        "~/.config/fish/completions/cki-notifier.fish.",
    )
    completing.add_argument("shell", choices=("bash", "zsh", "fish"))
    return whole


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    if arguments is None:
        arguments = [of_process(it) for it in sys.argv[1:]]
    whole = parser()
    parsed = whole.parse_args(arguments)
    if fault := fault_by_hand(parsed):
        whole.error(fault)
    if parsed.command == "audit" and (fault := fault_of(parsed)):
        whole.error(f"audit: {fault}")
    if parsed.dry_run and parsed.status is None:
        parsed.status = Status.UNKNOWN.value  # the stage that the checkout has reached
    return parsed


def _notify(parsed: argparse.Namespace) -> int:
    is_manual = parsed.status is not None
    config = read_config(
        needs_rabbitmq=not is_manual,
        needs_kafka=not parsed.dry_run,
        check_kafka=setting_faults,
    )
    log.set_up(config.logging_level, config.logging_format)
    return _by_hand(config, parsed) if is_manual else _daemon(config)


def _doctor(parsed: argparse.Namespace) -> int:
    from cki_notifier.doctor import command  # noqa: PLC0415  # only on request

    return command.run(parsed)


def _dead_letters(parsed: argparse.Namespace) -> int:
    config = read_operator_config()
    log.set_up(config.logging_level, config.logging_format)
    return dead_letters.run(config.rabbitmq, parsed)


def _explain(parsed: argparse.Namespace) -> int:
    config = read_config(needs_rabbitmq=False, needs_kafka=False)
    log.set_up(config.logging_level, config.logging_format)
    try:
        body = manual.read_body(parsed.file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        show(f"cki-notifier: {parsed.file} can't be read: {reason}")
        return _FAULTY
    form = manual.Form.JSON if parsed.json else manual.Form.EXPLAINED
    return manual.explain(_pipeline(config, _loader(config), Unsent(), None), body, form)


def _schema(_parsed: argparse.Namespace) -> int:
    return _OK if show_json(json.dumps(schema(), indent=2)) else _UNSHOWN


def _completion(parsed: argparse.Namespace) -> int:
    import shtab  # noqa: PLC0415  # only on request

    return _OK if show_text(shtab.complete(parser(), parsed.shell)) else _UNSHOWN


def _audit(parsed: argparse.Namespace) -> int:
    # It imports the Pushgateway's client, which the daemon does not need.
    from cki_notifier.audit import command  # noqa: PLC0415  # only on request

    config = read_config(needs_rabbitmq=False, check_kafka=setting_faults)
    log.set_up(config.logging_level, config.logging_format)
    warehouse, loader = _sources(config, most=parsed.requests, has_extras=parsed.send)
    publisher = Publisher(config.kafka) if config.kafka and parsed.send else None
    ledger = Ledger(config.kafka) if config.kafka else None
    pipeline = _pipeline(config, loader, publisher or Unsent(), ledger)
    code = command.run(config, parsed, warehouse, pipeline)
    if publisher is not None:
        publisher.close(RECORDS_SECONDS)
    return code


_COMMANDS = {
    "audit": _audit,
    "completion": _completion,
    "dead-letters": _dead_letters,
    "doctor": _doctor,
    "explain": _explain,
    "schema": _schema,
}


def _loader(config: Config) -> Loader:
    return _sources(config)[1]


def _sources(
    config: Config, *, most: int | None = None, has_extras: bool = True
) -> tuple[DataWarehouse, Loader]:
    """Return DataWarehouse's client and the loader for all services.

    Args:
        config: of the process.
        most: the most requests at a time, None for no limit.
        has_extras: whether messages get their optional parts.
    """
    shares = shares_of(config.in_flight)
    transfers = Transfers(certificate_authorities(), most)
    http = HTTP(transfers, shares)
    warehouse = DataWarehouse(http, config.datawarehouse)
    gitlab = GitLab(http, config.gitlab_tokens)
    jira = JiraIssues(transfers, config.jira) if config.jira and has_extras else None
    return warehouse, Loader(warehouse, gitlab, jira)


def _pipeline(
    config: Config, loader: Loader, publisher: Publishes, ledger: Ledger | None
) -> Pipeline:
    return Pipeline(loader, publisher, config.datawarehouse.url, ledger)


def _by_hand(config: Config, parsed: argparse.Namespace) -> int:
    loader = _loader(config)
    try:
        reference = checkout_reference(parsed.checkout_id, config.datawarehouse.url)
    except ValueError as error:
        show(f"cki-notifier: --checkout-id: {error}")
        return _FAULTY
    checkout_id = reference if isinstance(reference, str) else manual.find(loader, reference)
    if checkout_id is None:
        return manual.FAILED
    sends = config.kafka is not None and not parsed.dry_run
    publisher = Publisher(config.kafka) if config.kafka and sends else None
    ledger = Ledger(config.kafka) if config.kafka else None
    code = manual.run(
        _pipeline(config, loader, publisher or Unsent(), ledger),
        manual.event(parsed.status, checkout_id),
        sends=sends,
        form=_form(parsed),
        rabbitmq=config.rabbitmq,
    )
    if publisher is not None:
        publisher.close(RECORDS_SECONDS)
    return code


def _form(parsed: argparse.Namespace) -> manual.Form:
    if parsed.explains_json:
        return manual.Form.JSON
    return manual.Form.EXPLAINED if parsed.dry_run else manual.Form.MESSAGE


def _daemon(config: Config) -> int:
    """Run the daemon until a signal ends it."""
    signals.block()
    streams.unblock()
    if config.sentry_dsn is not None:
        # A large import that few need.
        from cki_notifier.telemetry.sentry import report_errors  # noqa: PLC0415  # only if set

        report_errors(config, config.sentry_dsn)
    website = Website(config.metrics_port) if config.metrics_port else None
    publisher = Publisher(config.kafka) if config.kafka else None
    if config.rabbitmq is None:
        raise ConfigurationError(["RABBITMQ_HOST: is not set"])
    outcomes, unsettled = Outcomes(), Unsettled()
    ledger = Ledger(config.kafka) if config.kafka else None
    pipeline = _pipeline(config, _loader(config), publisher or Shown(), ledger)
    daemon = Daemon(config, config.rabbitmq, pipeline, outcomes, unsettled)
    if website is not None:
        letters = partial(read_letters, config.rabbitmq, _MOST_LETTERS, _LETTERS_SECONDS)
        website.open(
            config,
            daemon.liveness,
            outcomes,
            unsettled,
            publisher,
            letters=letters if config.sends else None,
        )
    logger.warning("%s", _introduction(config, config.rabbitmq))
    _watch(daemon, config.shutdown_seconds)
    if publisher is not None:
        publisher.close(RECORDS_SECONDS)
    if website is not None:
        website.close()
    logging.shutdown()
    return _OK


def _introduction(config: Config, rabbitmq: RabbitMQConfig) -> str:
    """Describe the process and its connections."""
    kafka = config.kafka
    queue = rabbitmq.queue if config.sends else "a temporary queue"
    hosts = " ".join(rabbitmq.hosts)
    sends = (
        f"to {kafka.topic} at {kafka.settings['bootstrap.servers']}" if kafka else "without Kafka"
    )
    port = config.metrics_port
    return (
        f"cki-notifier {__version__} starts: environment {config.environment or 'none'}; "
        f"from {queue} at {hosts} ({rabbitmq.virtual_host}), {sends}; "
        f"{config.in_flight} at once; "
        + (f"status page on port {port}" if port else "no status page")
    )


def _watch(daemon: Daemon, seconds: float) -> None:
    """Run the daemon in its I/O thread; stop it at the first signal.

    Args:
        daemon: to be run.
        seconds: for work in flight after the signal. Closing the connections may take
            ``GOODBYE_SECONDS`` more.
    """
    endings = signals.endings()
    if signal.sigtimedwait(endings, 0):
        return  # the signal came during the start
    thread = start_vital("rabbitmq", daemon.run)
    while not signal.sigtimedwait(endings, _WATCH_SECONDS):
        pass
    logger.warning("stopping: taking no new work; work in flight has %.0f s to finish", seconds)
    daemon.stop()
    end = time.monotonic() + seconds + GOODBYE_SECONDS
    while thread.is_alive() and time.monotonic() < end:
        # A closing terminal may send SIGHUP twice, so SIGHUP is not urgent.
        if received := signal.sigtimedwait(signals.URGENT, _STOPPING_WATCH_SECONDS):
            logger.error("second signal: ending at once; notifications in flight stay in the queue")
            streams.drain(_LAST_LINE_SECONDS)
            os._exit(128 + received.si_signo)
