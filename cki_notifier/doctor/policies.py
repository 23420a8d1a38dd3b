"""Policies: does one take away what our queues should keep?

A policy sets what a queue's arguments don't, and of two numbers the lower one counts. Nobody who
declares a queue sees it: the broker compares arguments alone.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.doctor.finding import Finding, State, ok, skipped, warning, worst
from cki_notifier.doctor.management import Management, Queue, Silent
from cki_notifier.doctor.queue import number, policy_command
from cki_notifier.rabbitmq.queues import dead_letter_queue, retry_arguments
from cki_notifier.sources.transfer import Transfers
from cki_notifier.workers.deadline import Deadline

NAME = "rabbitmq policies"
#: Of two numbers the lower one counts.
_NUMBERS = ("message-ttl", "expires", "max-length", "max-length-bytes", "delivery-limit")
_EXCHANGE, _KEY = "dead-letter-exchange", "dead-letter-routing-key"
#: RabbitMQ 4 gives a message up after so many deliveries where nobody says otherwise.
_USUAL_DELIVERIES = 20
#: What our dead-letter queue is made with: as good as no limit.
_MANY_DELIVERIES = 1_000_000
_HELD = "no more are taken; they are held, and their notifications stay in the main queue"
_UNITS = {"d": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1000}

#: By the name of what a policy sets: how bad that is, and what it does.
Effects = dict[str, tuple[State, str]]


class _Role(Struct, frozen=True):
    """What queues of ours have in common.

    Attributes:
        row: how the report calls them.
        policy: how a policy of their own is called.
        pattern: of their names.
        back_to: where what they give up has to go, None for nowhere.
        effects: of what a policy sets on one of them.
    """

    row: str
    policy: str
    pattern: str
    back_to: str | None
    effects: Callable[["_Queue"], Iterator[tuple[str, State, str]]]


class _Queue(Struct, frozen=True):
    """One of our queues, and what counts there."""

    role: _Role
    told: Queue
    #: As the daemon makes it: how long a message waits there, in milliseconds.
    waits: int = 0

    def counts(self, name: str) -> Any:
        """Return what counts where both a policy and the arguments may set it."""
        given: Any = self.told.given.get(name)
        own: Any = self.told.own.get(name)
        if name in _NUMBERS:
            return min(filter(_is_number, (given, own)), default=None)
        if name == "overflow" and self.is_quorum:  # seen with 3.10: the one exception
            return own if given is None else given
        return given if own is None else own

    def sets(self, name: str) -> bool:
        """Tell whether it is a policy's value that counts."""
        given = self.told.given.get(name)
        return given is not None and given == self.counts(name)

    @property
    def is_quorum(self) -> bool:
        return self.told.type == "quorum"

    @property
    def refuses(self) -> bool:
        """Whether it refuses what it has no room for, instead of dropping what is there."""
        return str(self.counts("overflow")).startswith("reject-publish")

    @property
    def returns(self) -> bool:
        """Whether what it gives up goes where it should."""
        target = self.counts(_EXCHANGE), self.counts(_KEY)
        return self.role.back_to is not None and target == ("", self.role.back_to)

    @property
    def gone(self) -> str:
        """What becomes of what it gives up where it does not return."""
        exchange = self.counts(_EXCHANGE)
        return "is dropped" if exchange is None else f"goes to the exchange {exchange!r}"


def findings(config: RabbitMQConfig, deadline: Deadline) -> Iterator[Finding]:
    """Tell what policies do to our queues; a row for all that are fine."""
    url = config.management_url
    if url is None:
        vhost = f"--vhost {shlex.quote(config.virtual_host)}"
        yield skipped(
            NAME,
            "AMQP does not show them; one that has messages expire or limits a queue's length can "
            "make dead letters vanish",
            f"set RABBITMQ_MANAGEMENT_URL, or see rabbitmqctl list_queues {vhost} name policy and "
            f"rabbitmqctl list_policies {vhost}",
        )
        return
    transfers = Transfers(config.ca_file or certificate_authorities())
    try:
        yield from _all(Management(transfers, config, url), config, deadline)
    except Silent as error:
        yield warning(NAME, f"can't be seen: {error}", error.advice)
    finally:
        transfers.close()


def _all(management: Management, config: RabbitMQConfig, deadline: Deadline) -> Iterator[Finding]:
    fine, unknown, bad = 0, [], dict[str, list[Finding]]()
    for name, role, waits in _queues(config):
        told = management.queue(name, deadline)
        if told is None or not told.is_told:
            unknown.append(name)
        elif finding := _look(_Queue(role, told, waits), config):
            bad.setdefault(finding.name, []).append(finding)
        else:
            fine += 1
    if unknown:
        yield skipped(
            NAME,
            f"not told of {', '.join(unknown)}: there is no such queue, or none yet",
            "what is new is told after some seconds, and nothing where statistics are disabled",
        )
    elif fine:
        yield ok(NAME, f"none takes anything away from {number(fine, 'queue')}")
    yield from map(worst, bad.values())


def _queues(config: RabbitMQConfig) -> Iterator[tuple[str, _Role, int]]:
    """Yield each queue with its role, and how long a message waits there."""
    main = config.queue
    dead, pattern = dead_letter_queue(main), re.escape(main)
    yield main, _Role("rabbitmq queue", "main", f"^{pattern}$", dead, _of_main), 0
    role = _Role("rabbitmq delay queues", "retry", rf"^{pattern}\.retry\.", main, _of_delay)
    of_dead = _Role(
        "rabbitmq dead-letter queue", "dead-letter", rf"^{pattern}\.dead-letter$", None, _of_dead
    )
    for name, arguments in retry_arguments(main).items():
        yield name, of_dead if name == dead else role, arguments.get("x-message-ttl", 0)


def _look(queue: _Queue, config: RabbitMQConfig) -> Finding | None:
    effects = {name: (state, text) for name, state, text in queue.role.effects(queue)}
    if not effects:
        return None
    state = max((state for state, _ in effects.values()), key=list(State).index)
    texts = "; ".join(f"{name}: {text}" for name, (_, text) in effects.items())
    return Finding(
        f"{queue.role.row} policy",
        state,
        f"{queue.told.name} has {_whose(queue.told)}; {texts}",
        _advice(queue, effects, config),
    )


def _whose(told: Queue) -> str:
    names = {"policy": told.policy, "operator policy": told.operator_policy}
    return " and ".join(f"the {what} {name!r}" for what, name in names.items() if name)


def _advice(queue: _Queue, effects: Effects, config: RabbitMQConfig) -> str:
    """Advise a policy that sets all that this one does, but for what is bad."""
    role, told = queue.role, queue.told
    advice = []
    if told.policy:
        definition: dict[str, Any] = {
            name: value for name, value in told.given.items() if name not in effects
        }
        if _EXCHANGE in effects:
            definition |= {_EXCHANGE: "", _KEY: role.back_to}
        definition["overflow"] = "reject-publish"  # also because RabbitMQ takes no empty one
        name = f"cki-notifier-{role.policy}"
        more = ("--priority", "1000")
        command = policy_command(config, name, role.pattern, definition, *more)
        advice.append(f"a policy of a higher priority than that one's keeps it out: {command}")
    if told.operator_policy:
        advice.append(
            "an operator policy is to be changed by whoever set it: rabbitmqctl "
            f"list_operator_policies --vhost {shlex.quote(config.virtual_host)}"
        )
    return "; ".join(advice)


def _of_dead(queue: _Queue) -> Iterator[tuple[str, State, str]]:
    yield from _expiring(queue)
    if queue.sets("message-ttl"):
        text = f"what is older than {_time(queue.counts('message-ttl'))} {queue.gone}"
        yield "message-ttl", State.FAILED, text
    for name, most in _lengths(queue):
        if queue.refuses:
            yield name, State.WARNING, f"beyond {most} {_HELD}"
        else:
            yield name, State.FAILED, f"beyond {most} the oldest {queue.gone}"
    if (limit := _deliveries(queue)) < _MANY_DELIVERIES:
        text = f"what was looked at more often than {number(limit, 'time')} {queue.gone}"
        yield "delivery-limit", State.FAILED, text


def _of_delay(queue: _Queue) -> Iterator[tuple[str, State, str]]:
    yield from _expiring(queue)
    yield from _elsewhere(queue, "what has waited")
    if queue.sets("message-ttl") and not queue.returns:
        text = f"what waits longer than {_time(queue.counts('message-ttl'))} {queue.gone}"
        yield "message-ttl", State.FAILED, text
    elif queue.sets("message-ttl") and queue.counts("message-ttl") < queue.waits:
        times = f"{_time(queue.counts('message-ttl'))} instead of {_time(queue.waits)}"
        yield "message-ttl", State.WARNING, f"what waits comes back after {times}"
    for name, most in _lengths(queue):
        if queue.refuses:
            yield name, State.WARNING, f"beyond {most} {_HELD}"
        elif queue.returns:
            yield name, State.WARNING, f"beyond {most} the oldest come back at once"
        else:
            yield name, State.FAILED, f"beyond {most} the oldest {queue.gone}"


def _of_main(queue: _Queue) -> Iterator[tuple[str, State, str]]:
    yield from _expiring(queue)
    yield from _elsewhere(queue, "what RabbitMQ gives up")
    state = State.WARNING if queue.returns else State.FAILED
    given_up = "becomes a dead letter" if queue.returns else queue.gone
    if queue.sets("message-ttl"):
        text = f"what waits longer than {_time(queue.counts('message-ttl'))} {given_up}"
        yield "message-ttl", state, text
    for name, most in _lengths(queue):
        if queue.refuses:
            text = f"beyond {most} new ones are refused, and lost if they are published only once"
            yield name, State.FAILED, text
        else:
            yield name, state, f"beyond {most} the oldest {given_up}"
    if (limit := _deliveries(queue)) < _USUAL_DELIVERIES:
        text = f"what is delivered more often than {number(limit, 'time')} {given_up}"
        yield "delivery-limit", state, text


def _expiring(queue: _Queue) -> Iterator[tuple[str, State, str]]:
    if queue.sets("expires"):
        time = _time(queue.counts("expires"))
        text = f"the queue is deleted, with all that is in it, when nobody consumes it for {time}"
        yield "expires", State.FAILED, text


def _elsewhere(queue: _Queue, what: str) -> Iterator[tuple[str, State, str]]:
    """Tell where a policy sends what a queue gives up, and what it takes from the safe way back."""
    if not queue.returns and (queue.sets(_EXCHANGE) or queue.sets(_KEY)):
        target = f"the exchange {queue.counts(_EXCHANGE)!r} with the key {queue.counts(_KEY)!r}"
        text = f"{what} goes to {target}, and not to {queue.role.back_to}"
        yield (_EXCHANGE if queue.sets(_EXCHANGE) else _KEY), State.FAILED, text
    is_safe = queue.counts("dead-letter-strategy") == "at-least-once"
    if is_safe and queue.is_quorum and queue.sets("overflow") and not queue.refuses:
        text = f"{what} may be lost on its way should RabbitMQ fail: it goes at most once"
        yield "overflow", State.WARNING, text


def _lengths(queue: _Queue) -> Iterator[tuple[str, str]]:
    """Yield each limit of a queue's length that a policy sets."""
    for name, what in (("max-length", "message"), ("max-length-bytes", "byte")):
        if queue.sets(name):
            yield name, number(queue.counts(name), what)


def _deliveries(queue: _Queue) -> int:
    """Return the limit of deliveries that a policy sets, a large number when there is none.

    A negative one is no limit: RabbitMQ 3 takes it in no policy, RabbitMQ 4 knows it as that.
    """
    limit = queue.counts("delivery-limit")
    has_one = queue.is_quorum and queue.sets("delivery-limit") and limit >= 0
    return int(limit) if has_one else _MANY_DELIVERIES


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _time(milliseconds: int) -> str:
    """Return a time in words.

    >>> _time(5_400_000)
    '1.5 h'
    """
    for unit, length in _UNITS.items():
        if milliseconds >= length:
            return f"{milliseconds / length:g} {unit}"
    return f"{milliseconds} ms"
