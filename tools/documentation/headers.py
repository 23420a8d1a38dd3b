"""The headers of a record, as they are documented."""

from typing import Final, NamedTuple


class Header(NamedTuple):
    """What is said of a header.

    Attributes:
        meaning: for people, in Markdown.
        schema: of its text, in the JSON Schema of AsyncAPI.
    """

    meaning: str
    schema: dict[str, str]


_TEXT: Final = {"type": "string"}

#: In the order in which they are sent. The type of the event is a constant of each stage.
HEADERS: Final = {
    "content-type": Header("The form of the value.", _TEXT | {"const": "application/json"}),
    "ce_specversion": Header("The version of CloudEvents.", _TEXT | {"const": "1.0"}),
    "ce_id": Header(
        "The event. Records with the same one are repeats: handle the first, drop the others.",
        _TEXT,
    ),
    "ce_source": Header("The address of the DataWarehouse it is about.", _TEXT | {"format": "uri"}),
    "ce_type": Header("The stage, without a look into the value.", _TEXT),
    "ce_subject": Header("The checkout's id, as in the key.", _TEXT),
    "ce_time": Header(
        "When it happened in DataWarehouse, RFC 3339: the later one of two messages about a "
        "checkout is the newer one, whatever their order in the topic.",
        _TEXT | {"format": "date-time"},
    ),
}
