"""The cases: the work of a program in a single run, and its measurement."""

import asyncio
import re
import statistics
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import cycle
from typing import Final
from urllib.parse import quote, urlsplit

import uvloop

from tools.benchmarks.checkouts import Shape, checkout_id, number_of
from tools.benchmarks.trial import Trial
from tools.benchmarks.warehouse import WAREHOUSE_TOKEN
from tools.benchmarks.workload import MIX, Kind, big_notification
from tools.brokers.kafka import Record

#: By the name of the measure; see ``figures.MEASURES``.
Values = dict[str, float]

#: The share of a backlog's first messages, which don't count.
_FIRST_OF_BACKLOG: Final = 0.1
#: Notifications before those that count, at a fixed rate.
WARM_UP: Final = 200
_WARM_UP_A_SECOND: Final = 200.0
#: Kafka truncates to whole milliseconds.
_CUT_OFF_SECONDS: Final = 0.0005
#: Time for a program to become idle after the first message, in seconds.
_CALM_SECONDS: Final = 3.0
#: Time before the first big document, in seconds.
_BEFORE_SECONDS: Final = 2
#: Timeout for the stream of small notifications, in seconds.
_LONGEST_SECONDS: Final = 180
#: This few missing messages may all be small ones.
_FEW: Final = 5
_PATHS: Final = {Kind.PRE_TEST: ("", "/builds?limit=100"), Kind.POST_TEST: ("/all",)}
_HEAD: Final = re.compile(
    rb"HTTP/1.1 200 .*\r\ncontent-length: *(\d+)\r", re.DOTALL | re.IGNORECASE
)


def backlog(trial: Trial, count: int) -> Values:
    """Measure how fast a program processes a backlog, and at what cost.

    All notifications are in the queue before the program starts. Time and CPU count from the moment
    when a tenth of the messages is in the topic until the last one, by Kafka's clock. So the start,
    the connection and the warm-up don't count.
    """
    trial.publish(trial.take(count))
    trial.wait_for_queue()
    trial.start()
    trial.wait()
    records = trial.finish()
    first = int(len(records) * _FIRST_OF_BACKLOG)
    start, end = records[first].timestamp_ms / 1000, records[-1].timestamp_ms / 1000
    # Noise is evenly spread.
    handled = count * (len(records) - 1 - first) / len(records)
    return {
        "throughput": handled / (end - start),
        "cpu_ms": trial.cpu_ms(start, end, handled),
        **trial.shares(start, end),
        "requests": trial.asked()["answered"] / count,
        "start_seconds": records[0].timestamp_ms / 1000 - trial.started,
    }


def rate(trial: Trial, per_second: int, seconds: int) -> Values:
    """Measure the latency that a program adds at a fixed rate.

    The latency starts just before the publication of a notification. It ends when Kafka writes the
    message, by the broker's clock (`LogAppendTime`). The services' latency is subtracted.
    """
    _warm_up(trial)
    start = time.time()
    notifications = trial.take(per_second * seconds)
    trial.publish(notifications, per_second)
    end = time.time()
    trial.wait()
    counted = {it.checkout_id: trial.published[it.checkout_id] for it in notifications}
    return {
        **_added(trial, trial.finish(), counted),
        "cpu_ms": trial.cpu_ms(start, end, len(notifications)),
        **trial.shares(start, end),
    }


def among_big_ones(trial: Trial, per_second: int, seconds: int, big: int, every: int) -> Values:
    """Measure how big documents affect small ones, and the memory.

    Small notifications come at a fixed rate, for at least ``seconds``. Among them are ``big`` ones,
    of checkouts with 20,000 tests and 20,000 testresults: one ``every`` this many seconds, or, with
    0, all at once. Small ones count if they are published between the first big notification and
    the message of the last big one.
    """
    _warm_up(trial)
    began, big_ids = 0.0, set[str]()
    for second in range(_LONGEST_SECONDS):
        if second == _BEFORE_SECONDS:
            began = time.time()
        due = [
            big_notification(trial.gitlab, index)
            for index in range(big)
            if _BEFORE_SECONDS + index * every == second
        ]
        big_ids |= {it.checkout_id for it in due}
        trial.publish(due)
        trial.publish(trial.take(per_second), per_second)
        if second >= seconds and trial.missing() <= _FEW:
            break
    trial.wait()
    records = trial.finish()
    ends = [it.timestamp_ms / 1000 for it in records if it.key in big_ids]
    end = max(ends, default=time.time())
    counted = {
        name: at
        for name, at in trial.published.items()
        if began <= at <= end and name not in big_ids
    }
    return {
        **_added(trial, records, counted),
        "big_seconds": end - began if big else 0.0,
        **trial.shares(began, end),
    }


def idle(trial: Trial, seconds: int) -> Values:
    """Measure a program's idle CPU time, and the time from its start to its first message.

    The start includes that of the interpreter. A notification waits in the queue, and the services
    answer at once.
    """
    trial.publish(trial.take(1))
    trial.wait_for_queue()
    trial.start()
    trial.wait()
    time.sleep(_CALM_SECONDS)
    start = time.time()
    time.sleep(seconds)
    end = time.time()
    records = trial.finish()
    return {
        "start_seconds": records[0].timestamp_ms / 1000 - trial.started,
        "idle_percent": 100 * trial.meter.cpu_between("program", start, end) / seconds,
    }


def stand_in(trial: Trial, connections: int, seconds: int) -> Values:
    """Measure the stand-in for DataWarehouse alone, to show that it is no bottleneck.

    It gets the daemon's requests over ``connections``, each right after the previous response. The
    responses are not parsed.
    """
    took: list[float] = []
    start = time.time()
    uvloop.run(_drive(trial.warehouse, connections, seconds, took))
    end = time.time()
    trial.meter.stop()
    return {
        "requests_a_second": len(took) / (end - start),
        "request_us": 1e6 * trial.meter.cpu_between("warehouse", start, end) / len(took),
        "mean_ms": 1000 * statistics.mean(took),
        "longest_ms": 1000 * _percentiles(took)[98],
    }


def _warm_up(trial: Trial) -> None:
    """Start the program, and let it handle notifications that don't count."""
    trial.start()
    trial.publish(trial.take(WARM_UP), _WARM_UP_A_SECOND)
    trial.wait()


def _added(trial: Trial, records: Iterable[Record], published: Mapping[str, float]) -> Values:
    """Return the latency beyond that of the services, for the records that count."""
    added = [
        record.timestamp_ms / 1000 + _CUT_OFF_SECONDS - published[record.key]
        for record in records
        if record.key in published
    ]
    services = trial.setup.services_seconds
    percentiles = _percentiles([seconds - services for seconds in added])
    return {"p50_ms": 1000 * percentiles[49], "p99_ms": 1000 * percentiles[98]}


def _percentiles(values: list[float]) -> list[float]:
    return statistics.quantiles(values, n=100, method="inclusive")


async def _drive(url: str, connections: int, seconds: int, took: list[float]) -> None:
    """Send requests for ``seconds``; append each response time to ``took``."""
    asked, end = _requests(), time.perf_counter() + seconds

    async def ask() -> None:
        place = urlsplit(url)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        while (since := time.perf_counter()) < end:
            writer.write(next(asked))
            head = _HEAD.match(await reader.readuntil(b"\r\n\r\n"))
            assert head, "the stand-in refused"
            await reader.readexactly(int(head[1]))
            took.append(time.perf_counter() - since)
        writer.close()

    await asyncio.gather(*(ask() for _ in range(connections)))


def _requests() -> Iterator[bytes]:
    """Yield the requests for the workload's notifications, without end."""
    for index, kind in enumerate(cycle(MIX), start=1):
        for path in _PATHS.get(kind, ()):
            identifier = quote(checkout_id(number_of(Shape.PLAIN, index)))
            yield (
                f"GET /api/1/kcidb/checkouts/{identifier}{path} HTTP/1.1\r\n"
                "Host: 127.0.0.1\r\n"
                "Accept: application/json\r\n"
                f"Authorization: Token {WAREHOUSE_TOKEN}\r\n"
                "\r\n"
            ).encode()
