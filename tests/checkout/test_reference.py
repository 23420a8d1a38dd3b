"""A person's name for a checkout is parsed."""

import pytest

from cki_notifier.checkout.documents import Checkout, CheckoutMisc, MergeRequestLink
from cki_notifier.checkout.reference import MergeRequestName, checkout_reference

WAREHOUSE = "https://datawarehouse.example"


@pytest.mark.parametrize(
    ("text", "checkout_id"),
    [
        ("redhat:123", "redhat:123"),
        ("4711", "4711"),
        ("redhat:a/b!c", "redhat:a/b!c"),
        ("redhat:1!2", "redhat:1!2"),
        (" redhat:1", " redhat:1"),
        (f"{WAREHOUSE}/kcidb/checkouts/redhat%3A123", "redhat:123"),
        (f"{WAREHOUSE}/kcidb/checkouts/redhat:123/", "redhat:123"),
        (f"{WAREHOUSE}/kcidb/checkouts/4711?tab=1#x", "4711"),
        (f"{WAREHOUSE}/api/1/kcidb/checkouts/redhat%3A123", "redhat:123"),
        (f"{WAREHOUSE}/api/1/kcidb/checkouts/redhat%3A123/all/", "redhat:123"),
        (f"{WAREHOUSE}/api/2/kcidb/checkouts/redhat%3A123/builds?limit=1", "redhat:123"),
        (f"{WAREHOUSE}/kcidb/checkouts/redhat%3Aa%2Fb%23c%20d", "redhat:a/b#c d"),
        (f"{WAREHOUSE}/kcidb/checkouts/redhat:a/b", "redhat:a/b"),
        ("HTTPS://DataWarehouse.Example:443/kcidb/checkouts/1", "1"),
    ],
)
def test_an_id_or_an_address_is_a_checkout(text: str, checkout_id: str) -> None:
    """Any text other than an address stays as it is."""
    assert checkout_reference(text, WAREHOUSE) == checkout_id


def test_a_warehouse_may_be_below_a_path() -> None:
    """Then its addresses are, too."""
    address = "http://host:8080/dw/kcidb/checkouts/redhat%3A1"
    assert checkout_reference(address, "http://host:8080/dw") == "redhat:1"


@pytest.mark.parametrize(
    ("text", "text_of_error"),
    [
        (
            "https://other.example/kcidb/checkouts/redhat%3A1",
            "another DataWarehouse than DATAWAREH",
        ),
        ("https://datawarehouse.example:444/kcidb/checkouts/1", "another DataWarehouse"),
        ("https://datawarehouse.example.evil/api/1/kcidb/checkouts/1", "another DataWarehouse"),
        (f"{WAREHOUSE}/kcidb/builds/1", "not the address of a checkout"),
        (f"{WAREHOUSE}/kcidb/checkouts", "not the address of a checkout"),
        (f"{WAREHOUSE}/kcidb/checkouts/", "not the address of a checkout"),
        ("https://gitlab.com/group/kernel/-/pipelines/12", "not the address of a checkout"),
        ("https://gitlab.com/merge_requests/12", "not the address of a merge request"),
        ("https://[/x", "is not an address"),
        ("https://datawarehouse.example:x/kcidb/checkouts/1", "is not an address"),
        (f"{WAREHOUSE}/kcidb/checkouts/%FF", "can't decode"),
    ],
)
def test_another_address_is_told_of(text: str, text_of_error: str) -> None:
    """Each with a sentence."""
    with pytest.raises(ValueError, match=text_of_error):
        checkout_reference(text, WAREHOUSE)


@pytest.mark.parametrize(
    ("text", "project", "host"),
    [
        ("kernel!12", "kernel", ""),
        ("group/sub/kernel!12", "group/sub/kernel", ""),
        ("https://gitlab.com/group/kernel/-/merge_requests/12", "group/kernel", "gitlab.com"),
        ("https://gitlab.com/group/kernel/merge_requests/12/", "group/kernel", "gitlab.com"),
        ("https://gitlab.com/g/kernel/-/merge_requests/12/diffs?x=1#n", "g/kernel", "gitlab.com"),
        ("http://host:81/g/kernel/-/merge_requests/12#note_1", "g/kernel", "host:81"),
    ],
)
def test_a_merge_request_is_named_short_or_by_its_address(
    text: str, project: str, host: str
) -> None:
    """As the status page shows it, or as a browser does."""
    assert checkout_reference(text, WAREHOUSE) == MergeRequestName(text, project, 12, host)


def of(url: str | None, *, related: bool = False) -> Checkout:
    """Return a checkout of a merge request."""
    link = MergeRequestLink(url=url)
    misc = CheckoutMisc(related_merge_request=link) if related else CheckoutMisc(mr=link)
    return Checkout(id="redhat:1", misc=misc)


URL = "https://gitlab.com/group/sub/kernel/-/merge_requests/12"


@pytest.mark.parametrize("related", [True, False])
@pytest.mark.parametrize(
    "name",
    ["kernel!12", "sub/kernel!12", "group/sub/kernel!12", "Kernel!12", URL, f"{URL}/diffs"],
)
def test_a_checkout_is_known_by_its_merge_request(name: str, *, related: bool) -> None:
    """Whichever field of the warehouse's holds it."""
    reference = checkout_reference(name, WAREHOUSE)
    assert isinstance(reference, MergeRequestName)
    assert reference.address_in(of(URL, related=related)) == URL


@pytest.mark.parametrize(
    "name",
    [
        "kernel!13",
        "el!12",
        "b/kernel!12",
        "kernel/group!12",
        "https://gitlab.com/sub/kernel/-/merge_requests/12",
        "https://other.example/group/sub/kernel/-/merge_requests/12",
    ],
)
def test_a_checkout_of_another_one_is_not_meant(name: str) -> None:
    """Half of a project's name is none."""
    reference = checkout_reference(name, WAREHOUSE)
    assert isinstance(reference, MergeRequestName)
    assert reference.address_in(of(URL)) == ""


@pytest.mark.parametrize("url", [None, "", "nonsense", "https://gitlab.com/"])
def test_a_checkout_may_be_of_none(url: str | None) -> None:
    """DataWarehouse may hold any address."""
    assert MergeRequestName("x", "kernel", 12).address_in(of(url)) == ""
    assert MergeRequestName("x", "kernel", 12).address_in(Checkout(id="x")) == ""
