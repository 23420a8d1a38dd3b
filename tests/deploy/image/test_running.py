"""Build the image by the steps of the Dockerfile, and run it as a platform does.

Bubblewrap replaces a container engine. This machine's Debian and Python replace the base image.
"""

import json
import os
import re
import signal
import stat
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

from cki_notifier import __version__
from cki_notifier.message.contract import schema
from tests.brokers.stage import Stage
from tests.deploy.image import container
from tests.deploy.image.build import Builder, Image
from tests.deploy.image.container import Container
from tools import PROJECT
from tools.processes import free_port
from tools.stand_ins import Sentry, documents

WHEELS = PROJECT / ".cache" / "image"
PREFIX = "/opt/cki-notifier"
#: The dependencies have 49 MB, of which two thirds are C libraries.
MOST_BYTES = 60_000_000
#: The flag of a compiled file that Python does not compare with its source.
UNCHECKED = 0b01

#: Prints the files of all modules that the command may import.
IMPORTS = """
import importlib, pkgutil, sys
import cki_notifier
for module in pkgutil.walk_packages(cki_notifier.__path__, "cki_notifier."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
for module in list(sys.modules.values()):
    if getattr(module, "__file__", None):
        print(module.__file__)
"""

#: Prints the writable places.
WRITES = """
import os
for place, folders, _ in os.walk("/"):
    if place == "/":
        folders.remove("proc")
    try:
        os.close(os.open(f"{place}/written", os.O_CREAT | os.O_WRONLY))
        print(place)
    except OSError:
        pass
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Build the image."""
    arguments = {"VERSION": "1.2.3", "REVISION": "0" * 40, "CREATED": "2026-11-22T12:00:00Z"}
    return Builder(PROJECT, tmp_path_factory.mktemp("image"), WHEELS, arguments).build()


@pytest.fixture
def unwritten(image: Image) -> Iterator[Image]:
    """Return the image, and check afterwards that the test changed no file."""
    before = look(image)
    yield image
    assert look(image) == before


def look(image: Image) -> dict[Path, tuple[int, int, int]]:
    """Return the mode, size and time of all files that the image adds to its base."""
    found = {path: path.lstat() for path in (image.root / "opt").rglob("*")}
    return {path: (it.st_mode, it.st_size, it.st_mtime_ns) for path, it in found.items()}


def installed(image: Image) -> Path:
    """Return the folder of the image's libraries."""
    (folder,) = image.root.glob(f".{PREFIX}/lib/python3*/site-packages")
    return folder


def files(image: Image) -> list[Path]:
    """Return all files of the image, without links."""
    found = (image.root / PREFIX.lstrip("/")).rglob("*")
    return [path for path in found if path.is_file() and not path.is_symlink()]


def fill(stage: Stage) -> str:
    """Give each service the data of one checkout with an issue, and return the checkout's id."""
    url = stage.services.gitlab.merge_request_url("redhat/kernel", 1)
    description = "JIRA: https://issues.redhat.com/browse/RHEL-1"
    stage.services.gitlab.add_merge_request(documents.merge_request(url, description=description))
    stage.services.jira.add_issue(documents.jira_issue("RHEL-1"))
    checkout = documents.checkout("redhat:1", merge_request=url)
    stage.services.warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    return "redhat:1"


def test_what_is_installed_is_what_is_locked(image: Image) -> None:
    """The image has the locked versions, the project, and no other package."""
    locked = re.findall(r"(?m)^([\w.-]+)==(\S+)", (PROJECT / "requirements/run.txt").read_text())
    found = [
        (re.sub(r"[-_.]+", "-", it.name).lower(), it.version)
        for it in distributions(path=[str(installed(image))])
    ]
    assert sorted(found) == sorted([*locked, ("cki-notifier", __version__)])


def test_only_the_base_image_is_changed_where_it_can_not_be_shown(image: Image) -> None:
    """The builder skips only the step that removes pip from the base image."""
    (step,) = image.skipped
    assert step.startswith("python -m pip uninstall")


def test_nothing_is_in_it_that_only_builds_or_tests(image: Image) -> None:
    """The image has no pip, compiler, headers, downloads or tests, and no other folders."""
    names = {path.name for path in image.root.rglob("*")}
    tools = {"pip", "setuptools", "wheel", "hatchling", "gcc", "cc", "tests", "test", "conftest.py"}
    assert not names & tools
    assert not [name for name in names if name.endswith((".whl", ".h", ".c", ".pyx"))]
    assert not [name for name in names if re.match(r"test_.*\.py|pip-.*", name)]
    assert [path.name for path in (image.root / "opt").iterdir()] == ["cki-notifier"]


def test_any_user_can_read_it_and_none_can_change_it(image: Image) -> None:
    """Other users than the owner and the group can read the files. No user can write."""
    for path in [*(image.root / "opt").rglob("*")]:
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode):
            assert mode & stat.S_IROTH, path
            assert not stat.S_ISDIR(mode) or mode & stat.S_IXOTH, path
            assert not mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID), path


def test_everything_is_compiled_and_no_time_is_in_it(image: Image) -> None:
    """Otherwise Python would compile at each start, and timestamps would differ by build."""
    sources = [path for path in files(image) if path.suffix == ".py"]
    compiled = [path for path in files(image) if path.suffix == ".pyc"]
    assert len(compiled) == len(sources) > 500
    for path in compiled:
        assert int.from_bytes(path.read_bytes()[4:8], "little") == UNCHECKED, path


def test_it_is_small(image: Image) -> None:
    """The files that the image adds to its base have a size limit."""
    assert sum(path.stat().st_size for path in files(image)) < MOST_BYTES


def test_all_imports_come_from_it(image: Image) -> None:
    """Python imports every module of the package, with libraries of the image only."""
    folder = f"/{installed(image).relative_to(image.root)}"
    found = container.run(image, "-c", IMPORTS, entrypoint="python")
    assert found.returncode == 0, found.stderr
    modules = found.stdout.split()
    ours = [path for path in modules if path.startswith(f"{PREFIX}/")]
    libraries = {Path(path).relative_to(folder).parts[0] for path in ours}
    assert libraries > {"cki_notifier", "confluent_kafka", "pika", "pycurl", "rich", "sentry_sdk"}
    for path in set(modules) - set(ours):
        assert re.search(r"/lib/python3\.\d+/(?!(site|dist)-packages/)", path), path


def test_the_container_of_the_tests_lets_nothing_be_written(unwritten: Image) -> None:
    """The container has no writable place, no privileges and no account."""
    written = container.run(unwritten, "-c", WRITES, entrypoint="python")
    assert (written.returncode, written.stdout) == (0, ""), written.stderr
    mounts = container.run(unwritten, "/proc/self/mounts", entrypoint="cat").stdout.splitlines()
    kinds = {place: options.split(",")[0] for _, place, _, options, *_ in map(str.split, mounts)}
    assert kinds["/"] == kinds["/usr"] == kinds["/dev"] == "ro"
    assert all(place.startswith(("/proc", "/dev/")) for place in kinds if kinds[place] != "ro")
    state = container.run(unwritten, "/proc/self/status", entrypoint="cat").stdout
    fields = {name: text.split() for name, text in re.findall(r"(?m)^(\w+):(.*)$", state)}
    assert fields["Uid"] == [str(container.USER_ID)] * 4
    assert fields["Gid"] == ["0"] * 4
    assert fields["NoNewPrivs"] == ["1"]
    for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"):
        assert int(fields[f"Cap{kind}"][0], 16) == 0
    assert "HOME" not in container.run(unwritten, entrypoint="env").stdout


def test_it_tells_its_version_and_the_schema(unwritten: Image) -> None:
    """`--version` and `schema` need no configuration."""
    assert container.run(unwritten, "--version").stdout == f"cki-notifier {__version__}\n"
    assert json.loads(container.run(unwritten, "schema").stdout) == schema()


def test_a_fault_in_the_configuration_ends_it(unwritten: Image) -> None:
    """Without arguments the daemon starts, and names the missing variables."""
    started = container.run(unwritten)
    assert started.returncode == 2
    assert "DATAWAREHOUSE_URL" in started.stderr


def test_the_doctor_finds_everything_well(stage: Stage, unwritten: Image) -> None:
    """The doctor reaches every service, so the image has all libraries for them."""
    fill(stage)
    stage.daemon()
    seen = container.run(unwritten, "doctor", environment=stage.environment)
    assert seen.returncode == 0, seen.stdout + seen.stderr


def test_a_dry_run_shows_the_message(stage: Stage, unwritten: Image) -> None:
    """The message has data of DataWarehouse, GitLab and Jira."""
    checkout_id = fill(stage)
    shown = container.run(
        unwritten, "--dry-run", "--checkout-id", checkout_id, environment=stage.environment
    )
    assert shown.returncode == 0, shown.stderr
    assert "RHEL-1" in shown.stdout


def test_the_daemon_sends_a_message_and_ends(
    stage: Stage, unwritten: Image, tmp_path: Path
) -> None:
    """The daemon reads a secret as group 0, reports to Sentry, and ends at the image's signal."""
    checkout_id = fill(stage)
    port = free_port()
    token = tmp_path / "token"
    token.write_text(stage.services.warehouse.token)
    token.chmod(0o440)
    environment = stage.environment | {
        "CKI_LOGGING_LEVEL": "INFO",
        "CKI_LOGGING_FORMAT": "json",
        "CKI_METRICS_ENABLED": "true",
        "CKI_METRICS_PORT": str(port),
        "DATAWAREHOUSE_TOKEN": "",
        "DATAWAREHOUSE_TOKEN_FILE": "/run/secrets/warehouse",
    }
    sentry = Sentry()
    sentry.up()
    try:
        environment["SENTRY_DSN"] = sentry.dsn
        secrets = {"/run/secrets/warehouse": token}
        with Container(unwritten, tmp_path / "daemon", environment, secrets) as daemon:
            stage.publish(
                b"no json", documents.notification(None, "unknown", checkout_id=checkout_id)
            )
            (record,) = stage.records(1)
            assert record.key == checkout_id
            assert len(stage.dead_letters(1)) == 1
            asked = container.run(unwritten, *probe(port), entrypoint="python")
            assert asked.returncode == 0, asked.stderr
            code = daemon.end(signal.Signals[unwritten.stop_signal], seconds=60)
            assert code == os.EX_OK, daemon.tail()
        assert len(sentry.events()) == 1
    finally:
        sentry.stop()
    assert container.run(unwritten, *probe(port), entrypoint="python").returncode != 0


def probe(port: int) -> list[str]:
    """Return the arguments of the probe in docs/image.md, with this port."""
    text = (PROJECT / "docs" / "image.md").read_text()
    (code,) = re.findall(r'(?m)python -c "(.*)"$', text)
    assert ":8000/" in code
    return ["-c", code.replace(":8000/", f":{port}/")]
