"""Templates: nothing that is put in becomes markup, or a template."""

from cki_notifier.web.markup import Markup, fill, join, some


def test_what_is_put_in_is_escaped_unless_it_is_markup() -> None:
    """Also behind an attribute, a conversion or a format; and it is no template itself."""
    text = "<b title='\"'>{it} {0} $it"
    escaped = "&lt;b title=&#x27;&quot;&#x27;&gt;{it} {0} $it"
    assert fill("<p>{it}</p>", it=text) == f"<p>{escaped}</p>"
    assert fill("{it.args[0]}{it.args[0]!s}", it=ValueError(text)) == 2 * escaped
    assert fill("{it!c} {it:.2}", it=text) == f"<code>{escaped}</code> &lt;b"
    assert fill("{it}{it}", it=fill("<i>{it}</i>", it="&")) == 2 * "<i>&amp;</i>"


def test_what_is_made_of_markup_by_other_means_is_text() -> None:
    """So nothing slips in between."""
    bold = Markup("<b>")
    assert fill("{it}", it=join([bold, bold])) == "<b><b>"
    assert fill("{it}", it=bold + "<i>") == "&lt;b&gt;&lt;i&gt;"
    assert fill("{it}", it=f"{bold}") == "&lt;b&gt;"


def test_where_there_is_nothing_nothing_is_said() -> None:
    """An empty text, no number."""
    assert [some("<p>{it}</p>", it) for it in ("", 0, None)] == ["", "", ""]
    assert some("<p>{it:,}</p>", 1_000) == "<p>1,000</p>"
