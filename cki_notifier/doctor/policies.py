"""Policies: does one take away what our queues should keep?

A policy sets what a queue's arguments don't, and of two numbers the lower one counts. Nobody who
declares a queue sees it: the broker compares arguments alone. RabbitMQ's management tells, over
HTTP. It is asked with GET alone.
"""

import base64
import re
import shlex
from collections.abc import Iterator
from contextlib import closing, suppress
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from cki_notifier.configuration.certificates import certificate_authorities
from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.doctor import web
from cki_notifier.doctor.check import (
    Check,
    Finding,
    NoAnswer,
    State,
    number,
    ok,
    skipped,
    worst,
)
from cki_notifier.doctor.queues import policy_command
from cki_notifier.rabbitmq.queues import dead_letter_queue, retry_arguments
from cki_notifier.sources.http import Server
from cki_notifier.sources.transfer import TransferError, Transfers
from cki_notifier.workers.deadline import Deadline

NAME = "rabbitmq policies"
#: Of two numbers the lower one counts.
_NUMBERS = ("message-ttl", "expires", "max-length", "max-length-bytes", "delivery-limit")
_LENGTHS = {"max-length": "message", "max-length-bytes": "byte"}
_EXCHANGE, _KEY = "dead-letter-exchange", "dead-letter-routing-key"
#: RabbitMQ 4 gives a message up after so many deliveries where nobody says otherwise.
_USUAL_DELIVERIES = 20
#: What our dead-letter queue is made with: as good as no limit.
_MANY_DELIVERIES = 1_000_000
_HELD = "no more are taken; they are held, and their notifications stay in the main queue"
_LOST = "new ones are refused, and lost if they are published only once"
_UNITS = {"d": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1000}
_ADDRESS = "check RABBITMQ_MANAGEMENT_URL"
_COLUMNS = ("name", "type", "arguments", "policy", "operator_policy", "effective_policy_definition")
#: What the management says of what is not there, in JSON: no other server's 404.
_NOT_FOUND = "Object Not Found"
#: Whatever others may say is cut at so many characters.
_LONGEST = 200

#: By the name of what a policy sets: how bad that is, and what it does.
_Effects = dict[str, tuple[State, str]]


class _Role(Struct, frozen=True, kw_only=True):
    """What queues of ours have in common.

    Attributes:
        row: how the report calls them.
        policy: how a policy of their own is called.
        pattern: of their names.
        back_to: where what they give up has to go, None for nowhere.
        given_up: what they give up, in words.
        returned: what becomes of it where it goes there.
        late: what a limit of time makes them give up.
        full: how bad it is that they take no more, and what becomes of that.
        often: what a limit of deliveries makes them give up.
        deliveries: a limit that is lower does harm.
    """

    row: str
    policy: str
    pattern: str
    back_to: str | None = None
    given_up: str = ""
    returned: str = ""
    late: str = "what waits longer than"
    full: tuple[State, str] = (State.WARNING, _HELD)
    often: str = ""
    deliveries: int = 0


class _Told(Struct, frozen=True):
    """A queue, as the management tells of it.

    Attributes:
        type: ``quorum`` or ``classic``; releases that don't say it have classic ones alone.
        policy, operator_policy: their names; RabbitMQ applies at most one of each.
        effective_policy_definition: both put together; None while it is not told, which comes with
            the statistics, a few seconds after a change; an empty list (of Erlang's) for nothing.
    """

    name: str
    arguments: dict[str, Any] | list[Any]
    type: str = "classic"
    policy: str | None = None
    operator_policy: str | None = None
    effective_policy_definition: dict[str, Any] | list[Any] | None = None


class _Queue:
    """One of our queues, and what counts there.

    Args:
        role: what it is for.
        waits: how long a message waits there as the daemon makes it, in milliseconds.
        told: what is known of it.

    Attributes:
        given: what policies set.
        counts: what counts where both a policy and the arguments may set it.
        sets: the names of those where it is a policy's value.
        refuses: whether it refuses what it has no room for, instead of dropping what is there.
        returns: whether what it gives up goes where it should.
        becomes: what becomes of that, in words.
    """

    def __init__(self, role: _Role, waits: int, told: _Told) -> None:
        self.role = role
        self.waits = waits
        self.told = told
        self.is_quorum = told.type == "quorum"
        self.given = _table(told.effective_policy_definition)
        own = {it.removeprefix("x-"): value for it, value in _table(told.arguments).items()}
        self.counts = {it: self._counting(it, own.get(it)) for it in self.given | own}
        given = {name: value for name, value in self.given.items() if value is not None}
        self.sets = {name for name, value in given.items() if value == self.counts[name]}
        self.refuses = str(self.counts.get("overflow")).startswith("reject-publish")
        exchange, key = self.counts.get(_EXCHANGE), self.counts.get(_KEY)
        self.returns = role.back_to is not None and (exchange, key) == ("", role.back_to)
        gone = "is dropped" if exchange is None else f"goes to the exchange {exchange!r}"
        self.becomes = role.returned if self.returns else gone

    def _counting(self, name: str, own: Any) -> Any:
        given = self.given.get(name)
        if name in _NUMBERS:
            return min((it for it in (given, own) if type(it) is int), default=None)
        if name == "overflow" and self.is_quorum:  # seen with 3.10: the one exception
            return own if given is None else given
        return given if own is None else own


def check(config: RabbitMQConfig) -> Check:
    """Return the check of the policies; a row for all that are fine."""
    return Check(NAME, partial(_look, config))


def _look(config: RabbitMQConfig, deadline: Deadline) -> Iterator[Finding]:
    if config.management_url is None:
        vhost = f"--vhost {shlex.quote(config.virtual_host)}"
        yield skipped(
            NAME,
            "AMQP does not show them; one that has messages expire or limits a queue's length can "
            "make dead letters vanish",
            f"set RABBITMQ_MANAGEMENT_URL, or see rabbitmqctl list_queues {vhost} name policy and "
            f"rabbitmqctl list_policies {vhost}",
        )
        return
    fine, unknown, bad = 0, [], dict[str, list[Finding]]()
    with closing(Transfers(config.ca_file or certificate_authorities())) as transfers:
        for name, role, waits in _queues(config.queue):
            told = _told(transfers, config, config.management_url, name, deadline)
            if told is None or told.effective_policy_definition is None:
                unknown.append(name)
            elif finding := _judged(_Queue(role, waits, told), config):
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


def _queues(main: str) -> Iterator[tuple[str, _Role, int]]:
    """Yield each queue with its role, and how long a message waits there."""
    pattern, dead = re.escape(main), dead_letter_queue(main)
    of_main = _Role(
        row="rabbitmq queue",
        policy="main",
        pattern=f"^{pattern}$",
        back_to=dead,
        given_up="what RabbitMQ gives up",
        returned="becomes a dead letter",
        full=(State.FAILED, _LOST),
        often="what is delivered more often than",
        deliveries=_USUAL_DELIVERIES,
    )
    of_delay = _Role(
        row="rabbitmq delay queues",
        policy="retry",
        pattern=rf"^{pattern}\.retry\.",
        back_to=main,
        given_up="what has waited",
        returned="come back at once",
    )
    of_dead = _Role(
        row="rabbitmq dead-letter queue",
        policy="dead-letter",
        pattern=rf"^{pattern}\.dead-letter$",
        late="what is older than",
        often="what was looked at more often than",
        deliveries=_MANY_DELIVERIES,
    )
    yield main, of_main, 0
    for name, arguments in retry_arguments(main).items():
        yield name, of_dead if name == dead else of_delay, arguments.get("x-message-ttl", 0)


def _told(
    transfers: Transfers, config: RabbitMQConfig, url: str, name: str, deadline: Deadline
) -> _Told | None:
    """Return what the management knows of a queue, None when there is none.

    Raises:
        NoAnswer: it does not tell.
    """
    where = "/".join(quote(it, safe="") for it in (config.virtual_host, name))
    path = f"/api/queues/{where}?columns={','.join(_COLUMNS)}"
    login = base64.b64encode(f"{config.user}:{config.password.reveal()}".encode()).decode()
    headers = ["Accept: application/json", f"Authorization: Basic {login}"]
    server = Server("rabbitmq management", url, headers, token_variable="")
    try:
        reply = web.ask(transfers, server, path, deadline)
    except TransferError as error:
        advice = (
            "and whether its plugin is enabled; RABBITMQ_CAFILE names other authorities to trust"
        )
        raise _unseen(f"no answer from {url}: {error}", f"{_ADDRESS}, {advice}") from error
    code, said = reply.response.code, reply.document
    if code in web.REFUSED:
        why = f": {str(said['reason'])[:_LONGEST]}" if said.get("reason") else ""
        raise _unseen(
            f"the user {config.user!r} may not ask it ({code}{why})",
            "check RABBITMQ_USER and RABBITMQ_PASSWORD; the user needs the tag management, besides "
            "those it has (rabbitmqctl list_users, set_user_tags), and the virtual host",
        )
    if code == HTTPStatus.NOT_FOUND and said.get("error") == _NOT_FOUND:
        return None
    with suppress(msgspec.ValidationError):
        told = msgspec.convert(said, _Told)
        if code == HTTPStatus.OK and told.name == name:
            return told
    text = f"answers {code} to GET {path}, and not as RabbitMQ's management does"
    raise _unseen(f"{url} {text}", _ADDRESS)


def _unseen(text: str, advice: str) -> NoAnswer:
    return NoAnswer(f"can't be seen: {text}", advice, State.WARNING)


def _table(held: dict[str, Any] | list[Any] | None) -> dict[str, Any]:
    return held if isinstance(held, dict) else {}


def _judged(queue: _Queue, config: RabbitMQConfig) -> Finding | None:
    """Tell what policies do to a queue, None for nothing that does harm."""
    effects = _effects(queue)
    if not effects:
        return None
    told = queue.told
    names = {"policy": told.policy, "operator policy": told.operator_policy}
    whose = " and ".join(f"the {what} {name!r}" for what, name in names.items() if name)
    return Finding(
        f"{queue.role.row} policy",
        max((state for state, _ in effects.values()), key=list(State).index),
        f"{told.name} has {whose}; "
        + "; ".join(f"{name}: {text}" for name, (_, text) in effects.items()),
        _advice(queue, effects, config),
    )


def _advice(queue: _Queue, effects: _Effects, config: RabbitMQConfig) -> str:
    """Advise a policy that sets all that this one does, but for what is bad."""
    role, advice = queue.role, []
    if queue.told.policy:
        definition = {name: value for name, value in queue.given.items() if name not in effects}
        if _EXCHANGE in effects:
            definition |= {_EXCHANGE: "", _KEY: role.back_to}
        definition["overflow"] = "reject-publish"  # also because RabbitMQ takes no empty one
        name = f"cki-notifier-{role.policy}"
        more = ("--priority", "1000")
        command = policy_command(config, name, role.pattern, definition, *more)
        advice.append(f"a policy of a higher priority than that one's keeps it out: {command}")
    if queue.told.operator_policy:
        advice.append(
            "an operator policy is to be changed by whoever set it: rabbitmqctl "
            f"list_operator_policies --vhost {shlex.quote(config.virtual_host)}"
        )
    return "; ".join(advice)


def _effects(queue: _Queue) -> _Effects:
    """Return what policies do to a queue, as far as that does harm."""
    role, counts, becomes, found = queue.role, queue.counts, queue.becomes, _Effects()
    state = State.WARNING if queue.returns else State.FAILED
    if "expires" in queue.sets:
        text = "the queue is deleted, with all that is in it, when nobody consumes it for"
        found["expires"] = State.FAILED, f"{text} {_time(counts['expires'])}"
    if role.back_to is not None:
        found |= _elsewhere(queue)
    if "message-ttl" in queue.sets:
        most = counts["message-ttl"]
        if not (queue.waits and queue.returns):
            found["message-ttl"] = state, f"{role.late} {_time(most)} {becomes}"
        elif most < queue.waits:
            text = f"what waits comes back after {_time(most)} instead of {_time(queue.waits)}"
            found["message-ttl"] = state, text
    for name, what in _LENGTHS.items():
        if name in queue.sets:
            how_bad, text = role.full if queue.refuses else (state, f"the oldest {becomes}")
            found[name] = how_bad, f"beyond {number(counts[name], what)} {text}"
    if "delivery-limit" in queue.sets and queue.is_quorum:
        # A negative one is no limit: RabbitMQ 3 takes it in no policy, RabbitMQ 4 knows it as that.
        most = counts["delivery-limit"]
        if 0 <= most < role.deliveries:
            found["delivery-limit"] = state, f"{role.often} {number(most, 'time')} {becomes}"
    return found


def _elsewhere(queue: _Queue) -> _Effects:
    """Tell where a policy sends what a queue gives up, and what it takes from the safe way back."""
    role, counts, found = queue.role, queue.counts, _Effects()
    named = [it for it in (_EXCHANGE, _KEY) if it in queue.sets]
    if named and not queue.returns:
        target = f"the exchange {counts.get(_EXCHANGE)!r} with the key {counts.get(_KEY)!r}"
        text = f"{role.given_up} goes to {target}, and not to {role.back_to}"
        found[named[0]] = State.FAILED, text
    is_safe = counts.get("dead-letter-strategy") == "at-least-once" and queue.is_quorum
    if is_safe and "overflow" in queue.sets and not queue.refuses:
        text = "may be lost on its way should RabbitMQ fail: it goes at most once"
        found["overflow"] = State.WARNING, f"{role.given_up} {text}"
    return found


def _time(milliseconds: int) -> str:
    """Return a time in words.

    >>> _time(5_400_000)
    '1.5 h'
    """
    for unit, length in _UNITS.items():
        if milliseconds >= length:
            return f"{milliseconds / length:g} {unit}"
    return f"{milliseconds} ms"
