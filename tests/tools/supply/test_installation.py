"""An installation from the lock files has their versions, also after newer releases.

scripts/setup.sh installs the daemon's own lock files from an index on this machine, which offers a
newer version of everything beside what is locked.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pytest

from tools import PROJECT
from tools.supply.locks import BUILD, EVERYTHING, RUN_TIME, pins_of

#: The wheels of the two lock files, which scripts/setup.sh fetched for the image.
_WHEELS: Final = PROJECT / ".cache/image"


class Handler(SimpleHTTPRequestHandler):
    """Serves the index, a folder for each package, and writes down what it was asked for."""

    def do_GET(self) -> None:
        """Answer, and keep the path."""
        assert isinstance(self.server, Index)
        self.server.asked.append(unquote(self.path).strip("/"))
        super().do_GET()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class Index(ThreadingHTTPServer):
    """A package index with what is locked, and a newer version of each.

    Attributes:
        asked: the paths of all requests.
        extra: lines for a lock file, of two packages that are the index's own.
    """

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        for wheel in _WHEELS.glob("*.whl"):
            name = wheel.name.partition("-")[0].replace("_", "-").lower()
            (folder / name).mkdir()
            (folder / name / wheel.name).symlink_to(wheel)
            make_wheel(folder, name, "9999")
        # pip before 23.3 took a requirement with an extra for unpinned.
        one = make_wheel(folder, "asks", "1", "Requires-Dist: asked[more]>=1")
        two = make_wheel(folder, "asked", "1", "Provides-Extra: more")
        make_wheel(folder, "asks", "9999")
        make_wheel(folder, "asked", "9999", "Provides-Extra: more")
        self.extra = f"asks==1 --hash=sha256:{one}\nasked==1 --hash=sha256:{two}\n"
        super().__init__(("127.0.0.1", 0), partial(Handler, directory=str(folder)))

    @property
    def files(self) -> list[str]:
        """Return the names of the files that were fetched."""
        return [path.rpartition("/")[2] for path in self.asked if path.endswith(".whl")]


def make_wheel(folder: Path, name: str, version: str, *fields: str) -> str:
    """Put a wheel with nothing in it into the package's folder; return its SHA-256."""
    (folder / name).mkdir(exist_ok=True)
    plain = name.replace("-", "_")
    path = folder / name / f"{plain}-{version}-py3-none-any.whl"
    metadata = "\n".join(("Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *fields))
    kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    with zipfile.ZipFile(path, "w") as file:
        for member, text in (("METADATA", f"{metadata}\n"), ("WHEEL", kind), ("RECORD", "")):
            file.writestr(f"{plain}-{version}.dist-info/{member}", text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    """Return a running index."""
    folder = tmp_path / "index"
    folder.mkdir()
    with Index(folder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Clone:
    """The project as somebody has just got it, as far as installing it goes."""

    def __init__(self, folder: Path, index: Index) -> None:
        self.folder = folder
        self._index = f"http://127.0.0.1:{index.server_port}"
        shutil.copytree(PROJECT / "cki_notifier", folder / "cki_notifier")
        (folder / "scripts").mkdir()
        (folder / "requirements").mkdir()
        for name in ("scripts/setup.sh", "pyproject.toml", "README.md", "LICENSE", BUILD.name):
            shutil.copy(PROJECT / name, folder / name)
        (folder / RUN_TIME.name).write_text((PROJECT / RUN_TIME.name).read_text() + index.extra)
        (folder / EVERYTHING.name).touch()

    def install(self) -> None:
        """Let scripts/setup.sh install what the demo needs."""
        result = subprocess.run(
            ["/bin/sh", "-euc", ". scripts/setup.sh; need_python_venv run", "scripts/demo"],
            cwd=self.folder,
            env={
                "PATH": f"{sys.base_prefix}/bin:/usr/bin:/bin",
                "HOME": str(self.folder),
                "PIP_CONFIG_FILE": "/dev/null",
                "PIP_INDEX_URL": self._index,
                "PIP_RETRIES": "0",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr

    def installed(self) -> dict[str, str]:
        """Return the versions of what is installed, by name."""
        list_them = (
            "from importlib.metadata import distributions\n"
            "for it in distributions(): print(it.name.lower().replace('_', '-'), it.version)"
        )
        python = self.folder / ".venv/bin/python"
        listed = subprocess.run(
            [python, "-c", list_them], capture_output=True, text=True, check=True
        )
        return dict(line.split() for line in listed.stdout.splitlines())


def take_newest_pip(folder: Path) -> None:
    """Make the virtual environment with the pip that is locked, which is the newest one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    (packages,) = (folder / ".venv/lib").glob("*/site-packages")
    pip = distribution("pip")
    for part in {file.parts[0] for file in pip.files or ()} - {".."}:
        shutil.copytree(str(pip.locate_file(part)), packages / part)


@pytest.mark.parametrize("pip", ["the one that Python brings", "the newest"])
def test_what_was_published_since_does_not_matter(pip: str, index: Index, tmp_path: Path) -> None:
    """Pip fetches and installs the locked files, and requests no others.

    With these files present, it also installs without an index, for example after a change of
    pyproject.toml.
    """
    clone = Clone(tmp_path / "clone", index)
    if pip == "the newest":
        take_newest_pip(clone.folder)
    clone.install()
    locked = {
        pin.name: pin.version for lock in (BUILD, RUN_TIME) for pin in pins_of(lock) if pin.holds()
    }
    locked |= {"asks": "1", "asked": "1"}
    installed = clone.installed()
    assert {name: installed.get(name) for name in locked} == locked
    assert set(installed) - set(locked) <= {"pip", "setuptools", "cki-notifier"}
    assert len(index.files) == len(set(index.files)) == len(locked)

    index.shutdown()
    index.server_close()
    with (clone.folder / "pyproject.toml").open("a") as file:
        file.write("# changed\n")
    clone.install()
    assert clone.installed() == installed


def commands(text: str) -> list[str]:
    """Return the commands in which pip installs, fetches or builds."""
    lines = text.replace("\\\n", " ").splitlines()
    return [
        line
        for line in lines
        if re.search(r"\bpip (--python \S+ )?(install|download|wheel) ", line)
    ]


def test_no_command_leaves_a_choice_to_the_day() -> None:
    """Each that pip is given, in scripts, image, pipeline and documentation, resolves nothing.

    The test of pre-releases is to take the newest there is: that is what it is for.
    """
    files = [
        *(PROJECT / "scripts").iterdir(),
        *(PROJECT / "docs").glob("*.md"),
        *(PROJECT / name for name in ("Dockerfile", "README.md", ".gitlab-ci.yml")),
        PROJECT / "tests/deploy/kubernetes/tools/install",
    ]
    found = [command for file in files for command in commands(file.read_text())]
    resolving = [
        command
        for command in found
        if "--no-deps" not in command
        or not ("--require-hashes" in command or "--no-index" in command)
    ]
    assert len(found) > len(resolving)
    (prereleases,) = resolving
    assert " --pre --upgrade" in prereleases


def test_kafka_is_locked() -> None:
    """Maven is asked for versions, never for a range of them or for the newest."""
    pom = (PROJECT / "tools/brokers/kafka-pom.xml").read_text()
    artifacts = pom.count("<artifactId>")
    versions = re.findall(r"<version>(.*)</version>", pom)
    assert len(versions) == artifacts
    assert all(re.fullmatch(r"\d+(\.\d+)*", it) for it in versions)
