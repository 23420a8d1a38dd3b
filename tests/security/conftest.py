"""The project's own clients, in a world in which every host is ours."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from cki_notifier.sources.http import HTTP
from cki_notifier.sources.transfer import Transfers
from cki_notifier.workers.deadline import Deadline
from tests.security.everybody import Everybody


@pytest.fixture
def deadline() -> Deadline:
    """A deadline that no test reaches."""
    return Deadline(60)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority of these tests' own."""
    return trustme.CA()


@pytest.fixture
def authorities(authority: trustme.CA, tmp_path: Path) -> str:
    """The file with that authority's certificate."""
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    return str(tmp_path / "authority.pem")


@pytest.fixture
def everybody(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[Everybody]:
    """Every host there is; each answers with a merge request, and is asked by way of a proxy."""
    with Everybody(authority, b'{"state": "opened", "id": "redhat:1"}') as proxy:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        for name in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield proxy


@pytest.fixture
def http(authorities: str) -> Iterator[HTTP]:
    """The HTTP edge, which trusts that authority alone."""
    transfers = Transfers(authorities)
    yield HTTP(transfers)
    transfers.close()
