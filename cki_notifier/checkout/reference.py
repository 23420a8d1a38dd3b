"""Parses a person's name for a checkout: id, DataWarehouse address or merge request.

Forms: ``redhat:123`` or ``4711`` as they are; ``https://datawarehouse/kcidb/checkouts/redhat%3A123``
and the same below ``/api/1``; ``kernel!12``, ``group/kernel!12``, and the merge request's address.
"""

import re
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from cki_notifier.checkout.documents import Checkout
from cki_notifier.checkout.links import merge_request_link, merge_request_url

_ADDRESS = re.compile("https?://", re.IGNORECASE)
_CHECKOUT = re.compile(r"(?:/api/[0-9]+)?/kcidb/checkouts/(?P<id>[^/].*?)(?:/all|/builds)?/*")
#: A merge request's address, perhaps with a tab or a query of the browser behind it.
_MERGE_REQUEST = re.compile(r"(?P<url>[^?#]*/merge_requests/[0-9]+)(?:[/?#].*)?")
_SHORT = re.compile(r"(?P<project>[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*)!(?P<number>[0-9]{1,18})")
_PORTS = {"http": 80, "https": 443}


class MergeRequestName(Struct, frozen=True):
    """A merge request, as a person names it.

    Attributes:
        text: as given.
        project: its path; only the end of it without a host.
        number: its iid.
        host: ``""`` for any.
    """

    text: str
    project: str
    number: int
    host: str = ""

    def address_in(self, checkout: Checkout) -> str:
        """Return its address if a checkout belongs to it, else ``""``.

        Ignores case, as GitLab does.
        """
        try:
            link = merge_request_link(merge_request_url(checkout))
        except ValueError:
            return ""
        project, wanted = link.project.lower(), self.project.lower()
        is_it = link.number == self.number and (
            (link.host, project) == (self.host, wanted)
            if self.host
            else f"/{project}".endswith(f"/{wanted}")
        )
        return f"{link.origin}/{project}/-/merge_requests/{link.number}" if is_it else ""


def checkout_reference(text: str, warehouse: str) -> str | MergeRequestName:
    """Return the id or iid of a checkout, or its merge request.

    Args:
        text: from a person.
        warehouse: DataWarehouse's address, without a slash at the end.

    Raises:
        ValueError: the text is another address.
    """
    if found := _SHORT.fullmatch(text):
        return MergeRequestName(text, found["project"], int(found["number"]))
    if not _ADDRESS.match(text):
        return text
    try:
        place, base = urlsplit(text), urlsplit(warehouse)
        is_ours = _host(place) == _host(base)
    except ValueError as error:
        raise ValueError(f"{text!r} is not an address: {error}") from error
    if found := _MERGE_REQUEST.fullmatch(text):
        link = merge_request_link(found["url"])
        return MergeRequestName(text, link.project, link.number, link.host)
    path = place.path.removeprefix(base.path) if is_ours else place.path
    found = _CHECKOUT.fullmatch(path)
    if is_ours and found:
        return unquote(found["id"], errors="strict")
    if not is_ours and "/kcidb/checkouts/" in path:
        raise ValueError(
            f"{text!r} is at another DataWarehouse than DATAWAREHOUSE_URL, {warehouse}"
        )
    raise ValueError(f"{text!r} is not the address of a checkout or a merge request")


def _host(place: SplitResult) -> tuple[str, int | None]:
    return (place.hostname or "").lower(), place.port or _PORTS.get(place.scheme.lower())
