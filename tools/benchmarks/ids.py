"""The numbers of the benchmark's checkouts.

Each checkout is called ``redhat:<number>``, and its pipeline and its merge request have the same
number. The first digit says which documents the stand-in warehouse shows for it. All numbers have
ten digits, so that all documents of a kind are equally long.
"""

import enum
from typing import Final

_DIGITS: Final = 10


class Shape(enum.Enum):
    """What a checkout's documents are like; the value is the first digit of its number."""

    PLAIN = 1
    WITH_MERGE_REQUEST = 2
    BIG = 3


def number_of(shape: Shape, index: int) -> str:
    """Return the number of the checkout that is the ``index``-th of its shape."""
    return f"{shape.value}{index:0{_DIGITS - 1}}"


def checkout_id(number: str) -> str:
    """Return the KCIDB id of a checkout."""
    return f"redhat:{number}"


#: Stands for the number in a template; no other number in the documents is that large.
PLACEHOLDER: Final = "9" * _DIGITS
