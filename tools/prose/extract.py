"""Finds the words in a file: docstrings, comments, messages, alerts."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path
from typing import Final, NamedTuple

import yaml

#: Orders to a program in a comment.
_ORDERS: Final = re.compile(r"\s*(?:#\s*)?(?:noqa|type: ignore|shellcheck (?:disable|source)).*")
_COMMENT: Final = re.compile(r"(?P<code>^|.*?\s)#(?!!):? ?(?P<text>.*)$")
#: Words in a row make a text of a string; less may be a name or a pattern.
_SOME_WORDS: Final = re.compile(r"[A-Za-z'\u2019]{2,}(?:,? [a-z'\u2019]{1,}){3,}")
_INLINE_TAG: Final = re.compile(r"</?(?:a|b|code|em|span|strong|time)\b[^>]*>")
_ROLE: Final = re.compile(r":(?:func|mod|class|meth|data|attr):(?=`)")
_ENTRY: Final = re.compile(r"^ +(\*{0,2}[\w.]+)(?: \([^)]*\))?: ")
_SECTION: Final = re.compile(r"^(?:Args|Attributes|Raises|Returns|Yields|Example|Examples):$")
_TEXTS_OF_YAML: Final = {"summary", "description", "message"}


class Passage(NamedTuple):
    """Some text, and where its first line is in its file, counted from 1."""

    line: int
    text: str


def passages(path: Path) -> Iterator[Passage]:
    """Yield what a file says to people.

    Args:
        path: of Python, YAML, or anything that has comments behind ``#``.
    """
    source = path.read_text()
    if path.suffix == ".py":
        yield from _of_python(source)
    else:
        yield from _joined(
            (number, bool(found["code"].strip()), found["text"])
            for number, line in enumerate(source.splitlines(), 1)
            if (found := _COMMENT.match(line))
        )
    if path.suffix in {".yaml", ".yml"}:
        for document in yaml.compose_all(source):
            yield from _of_yaml(document)


def _of_python(source: str) -> Iterator[Passage]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    yield from _joined(
        (it.start[0], bool(it.line[: it.start[1]].strip()), it.string)
        for it in tokens
        if it.type == tokenize.COMMENT
    )
    yield from _of_node(ast.parse(source))


def _of_node(node: ast.AST) -> Iterator[Passage]:
    if isinstance(node, ast.JoinedStr):
        parts = [it.value if isinstance(it, ast.Constant) else "`x`" for it in node.values]
        yield from _of_string(node.lineno, "".join(map(str, parts)))
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from _of_string(node.lineno, node.value)
    body = getattr(node, "body", None)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            if isinstance(body, list) and child is body[0] and isinstance(child.value.value, str):
                yield Passage(child.lineno, _of_docstring(child.value.value))
        else:
            yield from _of_node(child)


def _of_docstring(text: str) -> str:
    """Return Markdown with as many lines: entries become lists, and literal blocks vanish."""
    lines, literal = [], False
    for line in cleandoc(text).splitlines():
        literal = literal and (not line or line.startswith(" "))
        text = "" if literal or _SECTION.match(line) else _ROLE.sub("", line)
        literal = literal or text.endswith("::")
        text = text.removesuffix(":") if text.endswith("::") else text
        lines.append(_ENTRY.sub("- ", text) if _ENTRY.match(text) else text.lstrip())
    return "\n".join(lines)


def _of_string(line: int, text: str) -> Iterator[Passage]:
    if _is_program(text):
        return
    text = re.sub(r"<[^>]*>", "\n\n", _INLINE_TAG.sub("", text))
    for part in re.split(r"\n\s*\n", text):
        if _SOME_WORDS.search(part) and "\\" not in part:
            yield Passage(line, re.sub(r"\{[^}]*\}", "`x`", " ".join(part.split())))


def _is_program(text: str) -> bool:
    try:
        return len(ast.parse(cleandoc(text)).body) > 1
    except (SyntaxError, ValueError):
        return False


def _joined(comments: Iterator[tuple[int, bool, str]]) -> Iterator[Passage]:
    """Make one passage of the comments in consecutive lines, unless they are behind code."""
    begin, lines, was_behind = 0, list[str](), False
    for number, is_behind, comment in comments:
        text = _ORDERS.sub("", comment.removeprefix("#").removeprefix(":").rstrip())
        text = "" if text.startswith("    ") else text.strip()
        if lines and (is_behind or was_behind or number != begin + len(lines)):
            yield Passage(begin, "\n".join(lines))
            lines = []
        if not lines:
            begin = number
        lines.append(text)
        was_behind = is_behind
    if lines:
        yield Passage(begin, "\n".join(lines))


def _of_yaml(node: yaml.Node) -> Iterator[Passage]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value in _TEXTS_OF_YAML and isinstance(value, yaml.ScalarNode):
                yield Passage(
                    value.start_mark.line + 1, re.sub(r"\{\{[^}]*\}\}", "`x`", value.value)
                )
            else:
                yield from _of_yaml(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _of_yaml(value)
