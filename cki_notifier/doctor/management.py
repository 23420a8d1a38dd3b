"""RabbitMQ's management: tells over HTTP what AMQP does not show. Asked with GET alone."""

import base64
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from cki_notifier.configuration.settings import RabbitMQConfig
from cki_notifier.doctor import web
from cki_notifier.sources.http import Server
from cki_notifier.sources.transfer import Response, TransferError, Transfers
from cki_notifier.workers.deadline import Deadline

_ADDRESS = "check RABBITMQ_MANAGEMENT_URL"
_COLUMNS = ("name", "type", "arguments", "policy", "operator_policy", "effective_policy_definition")
#: What it says of what is not there, in JSON: no other server's 404.
_NOT_FOUND = "Object Not Found"
#: Whatever others may say is cut at so many characters.
_LONGEST = 200


class Silent(Exception):
    """It did not tell; the text says why.

    Attributes:
        advice: what to do about it.
    """

    def __init__(self, text: str, advice: str) -> None:
        super().__init__(text)
        self.advice = advice


class Queue(Struct, frozen=True):
    """A queue, as far as its policies are concerned.

    Attributes:
        type: ``quorum`` or ``classic``; releases that don't say it have classic ones alone.
        policy, operator_policy: their names; RabbitMQ applies at most one of each.
        effective_policy_definition: both put together; None while it is not told, an empty list
            (of Erlang's) for nothing.
    """

    name: str
    arguments: dict[str, Any] | list[Any]
    type: str = "classic"
    policy: str | None = None
    operator_policy: str | None = None
    effective_policy_definition: dict[str, Any] | list[Any] | None = None

    @property
    def is_told(self) -> bool:
        """Whether its policies are known: with the statistics, a few seconds after a change."""
        return self.effective_policy_definition is not None

    @property
    def given(self) -> dict[str, Any]:
        """What policies set."""
        return _table(self.effective_policy_definition)

    @property
    def own(self) -> dict[str, Any]:
        """What its arguments set, by the names that policies have for it."""
        return {name.removeprefix("x-"): value for name, value in _table(self.arguments).items()}


class Management:
    """The management of a configuration that has one.

    Args:
        transfers: makes the requests.
        config: where, and as whom.
        url: its address.
    """

    def __init__(self, transfers: Transfers, config: RabbitMQConfig, url: str) -> None:
        self._transfers = transfers
        self._config = config
        login = f"{config.user}:{config.password.reveal()}".encode()
        headers = [
            "Accept: application/json",
            f"Authorization: Basic {base64.b64encode(login).decode()}",
        ]
        self._server = Server("rabbitmq management", url, headers, token_variable="")

    def queue(self, name: str, deadline: Deadline) -> Queue | None:
        """Return what is known of a queue, None when there is none.

        Raises:
            Silent: it does not tell.
        """
        where = "/".join(quote(it, safe="") for it in (self._config.virtual_host, name))
        path = f"/api/queues/{where}?columns={','.join(_COLUMNS)}"
        try:
            response = web.ask(self._transfers, self._server, path, deadline).response
        except TransferError as error:
            text = f"no answer from {self._server.url}: {error}"
            more = "RABBITMQ_CAFILE names other authorities to trust"
            raise Silent(text, f"{_ADDRESS}, and whether its plugin is enabled; {more}") from error
        if response.code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise self._refused(response)
        if response.code == HTTPStatus.NOT_FOUND and _said(response, "error") == _NOT_FOUND:
            return None
        try:
            found = msgspec.json.decode(response.body, type=Queue)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = None
        if response.code != HTTPStatus.OK or found is None or found.name != name:
            text = f"answers {response.code} to GET {path}, and not as RabbitMQ's management does"
            raise Silent(f"{self._server.url} {text}", _ADDRESS)
        return found

    def _refused(self, response: Response) -> Silent:
        user = self._config.user
        why = _said(response, "reason")
        return Silent(
            f"the user {user!r} may not ask it ({response.code}{f': {why}' if why else ''})",
            "check RABBITMQ_USER and RABBITMQ_PASSWORD; the user needs the tag management, besides "
            "those it has (rabbitmqctl list_users, set_user_tags), and the virtual host",
        )


def _table(held: dict[str, Any] | list[Any] | None) -> dict[str, Any]:
    return held if isinstance(held, dict) else {}


def _said(response: Response, field: str) -> str:
    """Return a text of a JSON object that tells of an error, "" when there is none."""
    try:
        told = msgspec.json.decode(response.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return str(told.get(field, ""))[:_LONGEST]
