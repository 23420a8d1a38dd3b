"""What goes in and out of the site: requests and answers, without HTTP's details."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request to read something.

    Attributes:
        path: decoded no further.
        query: the values of each parameter.
        accept: the header, ``""`` when there is none.
    """

    path: str
    query: Mapping[str, Sequence[str]]
    accept: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What is answered."""

    body: bytes
    content_type: str
    code: HTTPStatus = HTTPStatus.OK


def text(said: str, code: HTTPStatus = HTTPStatus.OK) -> Answer:
    """Answer with a line of text."""
    return Answer(f"{said}\n".encode(), "text/plain; charset=utf-8", code)


def json(document: Any, code: HTTPStatus = HTTPStatus.OK) -> Answer:
    """Answer with a JSON document, made of what msgspec can encode."""
    return Answer(msgspec.json.encode(document), "application/json", code)
