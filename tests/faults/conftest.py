"""Brokers behind proxies for all faults; services, queues and a topic of its own for each."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.clusters.run import Clusters
from tests.faults.kafka import AUTHORIZED
from tests.faults.neighbours import judgement
from tests.faults.neighbours.judgement import Judgement
from tests.faults.scene import Brokers, Scene, SceneToBe, opened
from tests.faults.table import Table
from tests.faults.verdict import CLUSTER_HEADINGS, HEADINGS, Verdict
from tools import PROJECT
from tools.brokers.clusters import KafkaCluster, RabbitMQCluster, running
from tools.brokers.kafka import Kafka
from tools.brokers.proxy import Proxy
from tools.brokers.rabbitmq import RELEASE, RabbitMQ
from tools.processes import free_port
from tools.stand_ins import Services

#: The page with the tables, for each release of RabbitMQ.
PAGES = {"3": "reliability.md", "4": "reliability-rabbitmq-4.md"}
#: The number of notifications of a storm.
STORM = 10_000
FAULTS = pytest.StashKey[Table]()
NEIGHBOURS = pytest.StashKey[Table]()
CLUSTERS = pytest.StashKey[Table]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add options, which are there when this folder is named on the command line."""
    group = parser.getgroup("faults")
    group.addoption("--full", action="store_true", help="all faults, not only a handful")
    group.addoption("--seed", type=int, default=1, help="of the streams and the sequences")
    group.addoption("--times", type=int, default=1, help="repetitions, each with the next seed")
    group.addoption(
        "--storm",
        type=int,
        nargs="?",
        const=STORM,
        default=0,
        metavar="COUNT",
        help=f"only a storm, with this many notifications ({STORM})",
    )
    group.addoption("--clusters", action="store_true", help="only the faults of clusters")
    group.addoption("--write", action="store_true", help="write the tables of a full run to docs")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks of tests that are not part of every run."""
    config.addinivalue_line("markers", "full: part of the full form of the fault suite only")
    config.addinivalue_line("markers", "clusters: done by themselves, as clusters need their time")
    config.addinivalue_line("markers", "storm: done alone, and only when it is asked for")
    command = f"made by scripts/test-faults --rabbitmq {RELEASE} --write"
    config.stash[FAULTS] = Table(f"<!-- {command} -->", HEADINGS)
    config.stash[NEIGHBOURS] = Table(f"<!-- neighbours, {command} -->", judgement.HEADINGS)
    config.stash[CLUSTERS] = Table(
        f"<!-- made by scripts/test-faults --clusters --rabbitmq {RELEASE} --write -->",
        CLUSTER_HEADINGS,
    )
    # It would log each of the many lost connections.
    logging.getLogger("pika").setLevel(logging.CRITICAL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect long tests unless --full; with --storm or --clusters, deselect all others."""
    alone = next((name for name in ("storm", "clusters") if config.getoption(name, 0)), None)
    is_full = config.getoption("--full", default=False)

    def is_left(item: pytest.Item) -> bool:
        marks = {mark.name for mark in item.iter_markers()}
        if alone:
            return alone not in marks
        return bool(marks & {"storm", "clusters"}) or ("full" in marks and not is_full)

    left = [item for item in items if is_left(item)]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat tests that depend on the seed, as --times says."""
    times = metafunc.config.getoption("--times", default=1)
    if times > 1 and "seed" in metafunc.fixturenames:
        first = metafunc.config.getoption("--seed")
        metafunc.parametrize("seed", range(first, first + times))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Show the tables; with --write, write those of a full run without failures."""
    options = config.option
    is_all = getattr(options, "full", False) or getattr(options, "clusters", False)
    is_whole = is_all and not (options.keyword or options.storm) and options.times == 1
    for name, key in (("faults", FAULTS), ("bad neighbours", NEIGHBOURS), ("clusters", CLUSTERS)):
        table = config.stash[key]
        if lines := table.plain():
            terminalreporter.section(name)
            for line in lines:
                terminalreporter.write_line(line)
        if table.rows and is_whole and options.write and not exitstatus:
            table.write(PROJECT / "docs" / PAGES[RELEASE])


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """Return the seed for all random choices."""
    return int(request.config.getoption("--seed", default=1))


@pytest.fixture(scope="session")
def storm_size(request: pytest.FixtureRequest) -> int:
    """Return the number of notifications of a storm."""
    return int(request.config.getoption("--storm"))


@pytest.fixture(scope="session")
def judged(request: pytest.FixtureRequest) -> Callable[[Verdict], None]:
    """Return a function that adds a row to the table of faults."""
    rows = request.config.stash[FAULTS].rows
    return lambda verdict: rows.append(verdict.row())


@pytest.fixture(scope="session")
def neighbour_judged(request: pytest.FixtureRequest) -> Callable[[Judgement], None]:
    """Return a function that adds a row to the table of bad neighbours."""
    rows = request.config.stash[NEIGHBOURS].rows
    return lambda judgement: rows.append(judgement.row())


@pytest.fixture(scope="session")
def cluster_judged(request: pytest.FixtureRequest) -> Callable[[Verdict, str], None]:
    """Return a function that adds a row, with the consumers, to the table of clusters."""
    rows = request.config.stash[CLUSTERS].rows
    return lambda verdict, consumers: rows.append(verdict.cluster_row(consumers))


@pytest.fixture(scope="session")
def note(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that adds a note below the table of faults."""
    return request.config.stash[FAULTS].notes.append


@pytest.fixture(scope="session")
def neighbour_note(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that adds a note below the table of bad neighbours."""
    return request.config.stash[NEIGHBOURS].notes.append


@pytest.fixture(scope="session")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    """A private RabbitMQ and a private Kafka, each behind a proxy."""
    rabbitmq = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    port = free_port()
    kafka = Kafka(
        tmp_path_factory.mktemp("kafka"),
        settings={**AUTHORIZED, "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}"},
    )
    with (
        Proxy(rabbitmq.port) as amqp_proxy,
        Proxy(kafka.port, port=port) as kafka_proxy,
        rabbitmq,
        kafka,
    ):
        yield Brokers(rabbitmq, amqp_proxy, kafka, kafka_proxy)


@pytest.fixture(scope="session")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    """A private cluster of RabbitMQ and one of Kafka."""
    with (
        running(RabbitMQCluster(tmp_path_factory.mktemp("rabbitmq"))) as rabbitmq,
        running(KafkaCluster(tmp_path_factory.mktemp("kafka"))) as kafka,
    ):
        yield Clusters(rabbitmq, kafka)


@pytest.fixture
def set_scene(brokers: Brokers, tmp_path: Path, seed: int) -> Callable[..., SceneToBe]:
    """Return a function that sets a scene, with the keywords of :func:`opened`."""

    @contextmanager
    def setting(**changes: Any) -> Iterator[Scene]:
        with (
            Services() as services,
            opened(brokers, services, tmp_path, **{"seed": seed, **changes}) as scene,
        ):
            yield scene

    return setting
