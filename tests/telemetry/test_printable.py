"""Text of unknown origin, made fit to be shown."""

from hypothesis import given
from hypothesis import strategies as st

from cki_notifier.telemetry.printable import printable
from tests.properties import PATIENT


@given(st.text(st.characters()))
@PATIENT
def test_any_text_becomes_printable(text: str) -> None:
    """No control character, and nothing that turns the text around; what is visible stays."""
    shown = printable(text)
    assert shown.isprintable()
    assert not text.isprintable() or shown == text
