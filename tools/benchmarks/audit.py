"""Measure the cost of an audit: ``python -m tools.benchmarks.audit``.

DataWarehouse's stand-in has a day's checkouts, which have all reached both stages, and older ones.
A topic on a private Kafka has a day's records, with the messages of these checkouts. Every
hundredth checkout lacks its post-test message. A separate process runs the audit.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from cki_notifier.notification.models import EVENT_TYPES, Stage
from tools.benchmarks.look_ups import TOPIC, fill
from tools.benchmarks.meter import peak_mib
from tools.brokers.kafka import Kafka
from tools.brokers.rabbitmq import RabbitMQ
from tools.notifier import Notifier, complete
from tools.stand_ins import Services, documents

#: The measured command.
_COMMAND: Final = (sys.executable, "-m", "cki_notifier", "audit", "--since", "24h", "--json")
#: The checkouts start within this time, shorter than a day, so that the audit includes all.
_SPAN: Final = timedelta(hours=23)
_DAY: Final = timedelta(days=1)
#: The number of older checkouts; one of this many checkouts lacks a message.
_OLDER: Final = 2000
_EVERY: Final = 100
_LOOK_SECONDS: Final = 0.02


def main(arguments: Sequence[str]) -> int:
    """Measure, and print the results; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.audit")
    parser.add_argument("--checkouts", type=int, default=20_000, metavar="N", help="20000")
    parser.add_argument("--records", type=int, default=100_000, metavar="N", help="100000")
    parser.add_argument("--bytes", type=int, default=4096, metavar="N", help="of each (4096)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="of the services")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="3")
    parsed = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, Kafka(Path(folder, "kafka")) as kafka:
        kafka.create_topic(TOPIC)
        fill(kafka.bootstrap, parsed.records, parsed.bytes, partial(_about, parsed.checkouts))
        with RabbitMQ(Path(folder, "rabbitmq")) as rabbitmq, Services() as services:
            _store(services, parsed.checkouts)
            environment = _environment(rabbitmq, kafka, services)
            with Notifier(Path(folder, "notifier"), environment):
                pass  # declares the queues
            services.warehouse.latency = services.gitlab.latency = parsed.latency
            for _ in range(parsed.rounds):
                print(measured(environment, services))
    return 0


def _about(checkouts: int, number: int) -> tuple[str, str]:
    """Return the checkout and the event's type for the record of this number."""
    checkout, is_post = divmod(number, 2)
    is_left_out = is_post and checkout < checkouts and not checkout % _EVERY
    stage = Stage.POST_TEST if is_post else Stage.PRE_TEST
    return f"{'other' if is_left_out else 'redhat'}:{checkout}", EVENT_TYPES[stage]


def _store(services: Services, count: int) -> None:
    """Add the checkouts, oldest first. Those without a message have a merge request."""
    now, step = datetime.now(UTC), _SPAN / count
    for number in range(-_OLDER, count):
        age = _SPAN - number * step if number >= 0 else _DAY - number * timedelta(minutes=1)
        url = None
        if number >= 0 and not number % _EVERY:
            url = services.gitlab.merge_request_url("group/kernel", number + 1)
            services.gitlab.add_merge_request(documents.merge_request(url))
        checkout = documents.checkout(
            f"redhat:{number}", merge_request=url, pipeline=None, start_time=(now - age).isoformat()
        )
        services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))


def _environment(rabbitmq: RabbitMQ, kafka: Kafka, services: Services) -> dict[str, str]:
    return {
        "CKI_DEPLOYMENT_ENVIRONMENT": "staging",
        "DATAWAREHOUSE_URL": services.warehouse.url,
        "DATAWAREHOUSE_TOKEN": services.warehouse.token,
        "RABBITMQ_HOST": rabbitmq.host,
        "RABBITMQ_PORT": str(rabbitmq.port),
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap,
        "KAFKA_TOPIC": TOPIC,
    }


def measured(environment: Mapping[str, str], services: Services) -> str:
    """Run an audit; return its cost and its findings in a line."""
    for service in (services.warehouse, services.gitlab):
        service.requests.clear()
    started, peak = time.monotonic(), 0.0
    with tempfile.TemporaryFile() as output:
        with subprocess.Popen(_COMMAND, env=complete(environment), stdout=output) as process:
            while process.poll() is None:
                peak = max(peak, peak_mib(process.pid))
                time.sleep(_LOOK_SECONDS)
        seconds = time.monotonic() - started
        output.seek(0)
        told = output.read()
    sums = json.loads(told)["sums"] if told else "no output"
    return (
        f"{seconds:.1f} s, {len(services.warehouse.requests)} requests to DataWarehouse, "
        f"{len(services.gitlab.requests)} to GitLab, {peak:.0f} MiB, "
        f"exit code {process.returncode}: {sums}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
