"""The page of the contract, docs/contract.md: its prose, and what is made from the code."""

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Final

from cki_notifier.message.contract import VERSION, schema
from cki_notifier.notification.models import Stage
from tools.documentation.examples import record
from tools.documentation.fields import fields
from tools.documentation.headers import HEADERS

#: The prose, with marks where something is put in: `<!-- made: fields -->` and the like.
_TEMPLATE: Final = Path(__file__).with_name("contract.template.md")
_MARK: Final = re.compile(r"<!-- (.*?) -->")


def page() -> str:
    """Return the page as Markdown.

    Raises:
        KeyError: the template has a mark that nothing is made for.
    """
    makers: dict[str, Callable[[], str]] = {
        "made: headers": _headers,
        "made: fields": _fields,
        "version": lambda: f"`{VERSION}`",
    }
    for stage in Stage:
        makers[f"made: {stage}"] = partial(_message, stage)
        makers[f"type: {stage}"] = partial(_type, stage)
    text = _TEMPLATE.read_text("utf-8")
    made = _MARK.sub(lambda mark: makers[mark[1]](), text)
    head = f"<!-- Made by `python -m tools.documentation` of {_TEMPLATE.name}: don't edit it. -->"
    return f"{head}\n\n{made}"


def _headers() -> str:
    example = record(Stage.PRE_TEST).headers
    rows = ((_code(name), header.meaning, _code(example[name])) for name, header in HEADERS.items())
    return _table(("header", "meaning", "example"), rows)


def _fields() -> str:
    rows = (
        (_code(it.path), it.kind, it.presence, it.meaning, _code(it.example))
        for it in fields(schema())
    )
    return _table(("field", "type", "presence", "meaning", "example"), rows)


def _message(stage: Stage) -> str:
    message = json.loads(record(stage).value)
    return _block("json", json.dumps(message, indent=2, ensure_ascii=False))


def _type(stage: Stage) -> str:
    return record(stage).headers["ce_type"]


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    headings = tuple(headings)
    lines = (headings, ["---"] * len(headings), *rows)
    return "\n".join(f"| {' | '.join(cells)} |".replace("|  |", "| |") for cells in lines)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"
