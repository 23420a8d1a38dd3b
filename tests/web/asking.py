"""Asks a scene's site."""

import json
from collections.abc import Mapping
from typing import Any

from cki_notifier.web.request import Answer, Request
from tests.factories.website import Scene


def show(
    scene: Scene, path: str, query: Mapping[str, list[str]] | None = None, accept: str = ""
) -> Answer:
    """Return the answer at an address."""
    return scene.site().answer(Request(path=path, query=query or {}, accept=accept))


def document(scene: Scene, path: str = "/outcomes.json", **query: list[str]) -> Any:
    """Return the JSON document at an address."""
    answer = show(scene, path, query)
    assert answer.content_type == "application/json"
    return json.loads(answer.body)


def page(scene: Scene, path: str = "/", /, **query: list[str]) -> str:
    """Return a page."""
    answer = show(scene, path, query)
    assert answer.content_type == "text/html; charset=utf-8"
    return answer.body.decode()
