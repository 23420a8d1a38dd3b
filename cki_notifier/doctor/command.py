"""``cki-notifier doctor``: runs all checks, prints the findings, returns the exit code."""

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence

from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.configuration.settings import Config, read_with_faults
from cki_notifier.doctor import configuration, rabbitmq, report, services
from cki_notifier.doctor import kafka as kafka_checks
from cki_notifier.doctor.check import Check, Finding, State, examine
from cki_notifier.doctor.configuration import usable
from cki_notifier.kafka.client import setting_faults
from cki_notifier.sources.transfer import Transfers
from cki_notifier.telemetry import log
from cki_notifier.telemetry.output import print_lines
from cki_notifier.telemetry.terminal import show, show_unprintable

FINE, FAILED, WRONG = 0, 1, 2


def run(parsed: argparse.Namespace) -> int:
    """Run all checks, print the findings, and return the exit code.

    The table or the JSON object goes to standard output, everything else to standard error.
    """
    config, faults = read_with_faults(check_kafka=setting_faults)
    log.set_up(config.logging_level, config.logging_format)
    try:
        findings = _findings(config, faults, parsed.timeout)
        _print(findings, as_json=parsed.json)
    except KeyboardInterrupt:
        show("")  # below the typed ^C
        show("interrupted")
        return 128 + signal.SIGINT
    except OSError as error:
        show_unprintable(error)
        return WRONG if faults else FAILED
    if faults:
        return WRONG
    return FAILED if report.worst(findings) == State.FAILED else FINE


def _findings(config: Config, faults: Sequence[str], seconds: float) -> list[Finding]:
    transfers = Transfers(certificate_authorities())
    try:
        checks = [*_brokers(config, faults), *services.checks(transfers, config, faults)]
        return [*configuration.findings(config, faults), *examine(checks, seconds)]
    finally:
        transfers.close()


def _brokers(config: Config, faults: Sequence[str]) -> Iterator[Check]:
    nodes = rabbitmq.checks(config.rabbitmq, sends=config.sends) if config.rabbitmq else ()
    yield from usable("rabbitmq", faults, list(nodes))
    kafka = [kafka_checks.check(config.kafka)] if config.kafka else []
    yield from usable("kafka", faults, kafka, "not checked: this environment publishes no messages")


def _print(findings: Sequence[Finding], *, as_json: bool) -> None:
    print_lines([report.as_json(findings)] if as_json else report.table(findings, sys.stdout))
    show(report.summary(findings))
