"""What is asked of a program in a single run, and what is measured then."""

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

#: The share of a backlog's messages that go before those which count.
_FIRST_OF_BACKLOG: Final = 0.1
#: What comes at a fixed rate: notifications that go before those which count.
WARM_UP: Final = 200
_WARM_UP_A_SECOND: Final = 200.0
#: Kafka counts whole milliseconds and cuts off the rest.
_CUT_OFF_SECONDS: Final = 0.0005
#: What goes on after the first message is over after that, in seconds.
_CALM_SECONDS: Final = 3.0
#: Goes by before the first big document, in seconds.
_BEFORE_SECONDS: Final = 2
#: However long the big ones take, then no more small ones are published, in seconds.
_LONGEST_SECONDS: Final = 180
#: So few messages that have not come yet may be small ones.
_FEW: Final = 5
_PATHS: Final = {Kind.PRE_TEST: ("", "/builds?limit=100"), Kind.POST_TEST: ("/all",)}
_HEAD: Final = re.compile(
    rb"HTTP/1.1 200 .*\r\ncontent-length: *(\d+)\r", re.DOTALL | re.IGNORECASE
)


def backlog(trial: Trial, count: int) -> Values:
    """Measure how fast a program works off a backlog, and at what cost.

    All notifications are in the queue before the program starts, so that nothing is published while
    it works. What it does first (start, connect, get warm) is left out: time and CPU are counted
    from the moment at which a tenth of the messages is in the topic until the last one is there, by
    Kafka's own clock.
    """
    trial.publish(trial.take(count))
    trial.wait_for_queue()
    trial.start()
    trial.wait()
    records = trial.finish()
    first = int(len(records) * _FIRST_OF_BACKLOG)
    start, end = records[first].timestamp_ms / 1000, records[-1].timestamp_ms / 1000
    # Noise is spread evenly among the others.
    handled = count * (len(records) - 1 - first) / len(records)
    return {
        "throughput": handled / (end - start),
        "cpu_ms": trial.cpu_ms(start, end, handled),
        **trial.shares(start, end),
        "requests": trial.asked()["answered"] / count,
        "start_seconds": records[0].timestamp_ms / 1000 - trial.started,
    }


def rate(trial: Trial, per_second: int, seconds: int) -> Values:
    """Measure the latency that a program adds when notifications come at a fixed rate.

    It is the time from the moment before a notification is published until Kafka wrote its message,
    by Kafka's clock (the broker's, `LogAppendTime`), less the services' own latency.
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
    """Measure what big documents do to the small ones that pass by, and to the memory.

    Small notifications come at a fixed rate, so many seconds at least. Among them are those of
    checkouts with 20,000 tests and 20,000 testresults: one ``every`` so many seconds, or, with 0,
    all at once. The small ones that count are those published from the first big one on until the
    message of the last big one is there.
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
    """Measure what a program costs when nothing happens, and how soon it has sent a message.

    The start is the moment at which its process is asked for, so it includes that of the
    interpreter; a notification waits in the queue by then, and the services answer at once.
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
    """Measure how fast the stand-in warehouse is alone, so that it's known not to be waited for.

    It is asked for what the daemon would ask it for, over so many connections, and for the next
    thing as soon as an answer is there; the answers are not looked at.
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
    """Start the program, and have it handle what does not count."""
    trial.start()
    trial.publish(trial.take(WARM_UP), _WARM_UP_A_SECOND)
    trial.wait()


def _added(trial: Trial, records: Iterable[Record], published: Mapping[str, float]) -> Values:
    """Return what was added to the services' own latency, for the records that count."""
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
    """Ask the stand-in for so long; note how many seconds each answer took."""
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
    """Yield the requests that the workload's notifications lead to, without end."""
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
