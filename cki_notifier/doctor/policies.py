"""Policies that harm the queues: that delete, hold, or misroute their messages.

A policy adds to the arguments of a queue. Of two numbers, the lower one counts. A declaration does
not reveal policies, as the broker compares arguments only. RabbitMQ's management interface shows
them over HTTP; the check only sends GET requests.
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
#: Settings whose lower number counts.
_NUMBERS = ("message-ttl", "expires", "max-length", "max-length-bytes", "delivery-limit")
_LENGTHS = {"max-length": "message", "max-length-bytes": "byte"}
_EXCHANGE, _KEY = "dead-letter-exchange", "dead-letter-routing-key"
#: RabbitMQ 4's default delivery limit.
_USUAL_DELIVERIES = 20
#: The delivery limit of the dead-letter queue: practically none.
_MANY_DELIVERIES = 1_000_000
_HELD = "RabbitMQ refuses new ones; failed notifications then stay in the main queue"
_LOST = "RabbitMQ refuses new ones; they are lost unless DataWarehouse publishes them again"
_UNITS = {"d": 86_400_000, "h": 3_600_000, "min": 60_000, "s": 1000}
_ADDRESS = "check RABBITMQ_MANAGEMENT_URL"
_COLUMNS = ("name", "type", "arguments", "policy", "operator_policy", "effective_policy_definition")
#: The error in the management interface's JSON that tells its 404 from another server's.
_NOT_FOUND = "Object Not Found"
#: The longest quotation of the management interface, in characters.
_LONGEST = 200

#: State and effect, by the name of a policy's setting.
_Effects = dict[str, tuple[State, str]]


class _Role(Struct, frozen=True, kw_only=True):
    """The properties of a kind of our queues.

    Attributes:
        row: the name in the report.
        policy: the last part of the name of the policy to advise.
        pattern: a pattern of the queues' names.
        back_to: the queue that their dead-lettering must lead to; None for none.
        given_up: words for the messages that they dead-letter.
        returned: words for the fate of these messages in ``back_to``.
        late: words for the messages that exceed a message TTL.
        full: the state if they refuse messages, and words for the fate of these.
        often: words for the messages that exceed a delivery limit.
        deliveries: a lower delivery limit does harm.
    """

    row: str
    policy: str
    pattern: str
    back_to: str | None = None
    given_up: str = ""
    returned: str = ""
    late: str = "notifications that wait longer than"
    full: tuple[State, str] = (State.WARNING, _HELD)
    often: str = ""
    deliveries: int = 0


class _Told(Struct, frozen=True):
    """A queue, as the management interface shows it.

    Attributes:
        type: ``quorum`` or ``classic``. Releases without this field have classic queues only.
        policy, operator_policy: their names. RabbitMQ applies at most one of each.
        effective_policy_definition: both combined; an empty (Erlang) list for none. None until the
            statistics have it, some seconds after a change.
    """

    name: str
    arguments: dict[str, Any] | list[Any]
    type: str = "classic"
    policy: str | None = None
    operator_policy: str | None = None
    effective_policy_definition: dict[str, Any] | list[Any] | None = None


class _Queue:
    """One of our queues, with the settings in force.

    Args:
        role: its kind.
        waits: its delay as the daemon declares it, in milliseconds.
        told: the answer of the management interface.

    Attributes:
        given: the settings of policies.
        counts: the settings in force, from policies and arguments.
        sets: the names of the settings in force that come from a policy.
        refuses: whether a full queue refuses new messages instead of dropping old ones.
        returns: whether dead-lettering leads to the right queue.
        becomes: words for the fate of dead-lettered messages.
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
        gone = "are dropped" if exchange is None else f"go to the exchange {exchange!r}"
        self.becomes = role.returned if self.returns else gone

    def _counting(self, name: str, own: Any) -> Any:
        given = self.given.get(name)
        if name in _NUMBERS:
            return min((it for it in (given, own) if type(it) is int), default=None)
        if name == "overflow" and self.is_quorum:  # the exception, seen with 3.10
            return own if given is None else given
        return given if own is None else own


def check(config: RabbitMQConfig) -> Check:
    """Return the check of the policies. All harmless ones share one row."""
    return Check(NAME, partial(_look, config))


def _look(config: RabbitMQConfig, deadline: Deadline) -> Iterator[Finding]:
    if config.management_url is None:
        vhost = f"--vhost {shlex.quote(config.virtual_host)}"
        yield skipped(
            NAME,
            "AMQP does not show policies; one that limits the age or the number of messages can "
            "delete dead letters",
            f"set RABBITMQ_MANAGEMENT_URL, or run rabbitmqctl list_queues {vhost} name policy and "
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
            f"unknown for {', '.join(unknown)}: no such queue, or no statistics yet",
            "run the doctor again after some seconds; RabbitMQ's statistics must be enabled",
        )
    elif fine:
        yield ok(NAME, f"no policy harms {number(fine, 'queue')}")
    yield from map(worst, bad.values())


def _queues(main: str) -> Iterator[tuple[str, _Role, int]]:
    """Yield each queue with its role and its delay in milliseconds."""
    pattern, dead = re.escape(main), dead_letter_queue(main)
    of_main = _Role(
        row="rabbitmq queue",
        policy="main",
        pattern=f"^{pattern}$",
        back_to=dead,
        given_up="notifications that RabbitMQ dead-letters",
        returned="become dead letters",
        full=(State.FAILED, _LOST),
        often="notifications delivered more than",
        deliveries=_USUAL_DELIVERIES,
    )
    of_delay = _Role(
        row="rabbitmq delay queues",
        policy="retry",
        pattern=rf"^{pattern}\.retry\.",
        back_to=main,
        given_up="notifications after their delay",
        returned="return at once",
    )
    of_dead = _Role(
        row="rabbitmq dead-letter queue",
        policy="dead-letter",
        pattern=rf"^{pattern}\.dead-letter$",
        late="dead letters older than",
        often="dead letters read more than",
        deliveries=_MANY_DELIVERIES,
    )
    yield main, of_main, 0
    for name, arguments in retry_arguments(main).items():
        yield name, of_dead if name == dead else of_delay, arguments.get("x-message-ttl", 0)


def _told(
    transfers: Transfers, config: RabbitMQConfig, url: str, name: str, deadline: Deadline
) -> _Told | None:
    """Return a queue as the management interface shows it; None if it does not exist.

    Raises:
        NoAnswer: the management interface does not answer, or not to this user.
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
            "and whether RabbitMQ's plugin rabbitmq_management is enabled; for an unknown "
            "certificate authority, set RABBITMQ_CAFILE"
        )
        raise _unseen(f"no answer from {url}: {error}", f"{_ADDRESS}, {advice}") from error
    code, said = reply.response.code, reply.document
    if code in web.REFUSED:
        why = f": {str(said['reason'])[:_LONGEST]}" if said.get("reason") else ""
        raise _unseen(
            f"the management interface refuses the user {config.user!r} ({code}{why})",
            "check RABBITMQ_USER and RABBITMQ_PASSWORD; the user needs access to the virtual host, "
            "and the tag management beside its other tags (rabbitmqctl list_users, set_user_tags)",
        )
    if code == HTTPStatus.NOT_FOUND and said.get("error") == _NOT_FOUND:
        return None
    with suppress(msgspec.ValidationError):
        told = msgspec.convert(said, _Told)
        if code == HTTPStatus.OK and told.name == name:
            return told
    text = f"answers {code} to GET {path}, unlike RabbitMQ's management interface"
    raise _unseen(f"{url} {text}", _ADDRESS)


def _unseen(text: str, advice: str) -> NoAnswer:
    return NoAnswer(f"can't be read: {text}", advice, State.WARNING)


def _table(held: dict[str, Any] | list[Any] | None) -> dict[str, Any]:
    return held if isinstance(held, dict) else {}


def _judged(queue: _Queue, config: RabbitMQConfig) -> Finding | None:
    """Return the finding about harmful policies of a queue; None for no harm."""
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
    """Advise a policy with the harmless settings of the present one, and a higher priority."""
    role, advice = queue.role, []
    if queue.told.policy:
        definition = {name: value for name, value in queue.given.items() if name not in effects}
        if _EXCHANGE in effects:
            definition |= {_EXCHANGE: "", _KEY: role.back_to}
        definition["overflow"] = "reject-publish"  # also because RabbitMQ accepts no empty policy
        name = f"cki-notifier-{role.policy}"
        more = ("--priority", "1000")
        command = policy_command(config, name, role.pattern, definition, *more)
        advice.append(f"override it with a policy of a higher priority: {command}")
    if queue.told.operator_policy:
        advice.append(
            "ask the owner of the operator policy to change it; to see it, run rabbitmqctl "
            f"list_operator_policies --vhost {shlex.quote(config.virtual_host)}"
        )
    return "; ".join(advice)


def _effects(queue: _Queue) -> _Effects:
    """Return the harmful effects of policies on a queue."""
    role, counts, becomes, found = queue.role, queue.counts, queue.becomes, _Effects()
    state = State.WARNING if queue.returns else State.FAILED
    if "expires" in queue.sets:
        text = "RabbitMQ deletes the queue with its messages after"
        found["expires"] = State.FAILED, f"{text} {_time(counts['expires'])} without a consumer"
    if role.back_to is not None:
        found |= _elsewhere(queue)
    if "message-ttl" in queue.sets:
        most = counts["message-ttl"]
        if not (queue.waits and queue.returns):
            found["message-ttl"] = state, f"{role.late} {_time(most)} {becomes}"
        elif most < queue.waits:
            text = f"notifications return after {_time(most)} instead of {_time(queue.waits)}"
            found["message-ttl"] = state, text
    for name, what in _LENGTHS.items():
        if name in queue.sets:
            how_bad, text = role.full if queue.refuses else (state, f"the oldest {becomes}")
            found[name] = how_bad, f"beyond {number(counts[name], what)}, {text}"
    if "delivery-limit" in queue.sets and queue.is_quorum:
        # A negative number means no limit in RabbitMQ 4. RabbitMQ 3 refuses it in a policy.
        most = counts["delivery-limit"]
        if 0 <= most < role.deliveries:
            found["delivery-limit"] = state, f"{role.often} {number(most, 'time')} {becomes}"
    return found


def _elsewhere(queue: _Queue) -> _Effects:
    """Return the harmful effects of policies on dead-lettering: another target, less safety."""
    role, counts, found = queue.role, queue.counts, _Effects()
    named = [it for it in (_EXCHANGE, _KEY) if it in queue.sets]
    if named and not queue.returns:
        target = f"the exchange {counts.get(_EXCHANGE)!r} with the key {counts.get(_KEY)!r}"
        text = f"{role.given_up} go to {target} instead of {role.back_to}"
        found[named[0]] = State.FAILED, text
    is_safe = counts.get("dead-letter-strategy") == "at-least-once" and queue.is_quorum
    if is_safe and "overflow" in queue.sets and not queue.refuses:
        text = "may be lost if RabbitMQ fails: dead-lettering is at most once"
        found["overflow"] = State.WARNING, f"{role.given_up} {text}"
    return found


def _time(milliseconds: int) -> str:
    """Return a time with its unit.

    >>> _time(5_400_000)
    '1.5 h'
    """
    for unit, length in _UNITS.items():
        if milliseconds >= length:
            return f"{milliseconds / length:g} {unit}"
    return f"{milliseconds} ms"
