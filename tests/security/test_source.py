"""The source of the package has no forbidden calls and imports."""

import ast
from collections.abc import Iterator
from pathlib import Path

import cki_notifier

PACKAGE = Path(cki_notifier.__file__).parent
#: These run what they read, or run something else.
RUNS_DATA = {
    *("pickle", "marshal", "shelve", "dill", "yaml", "code", "codeop", "runpy", "subprocess"),
    *("multiprocessing", "ctypes", "cffi", "xml", "pty", "imp", "importlib.util"),
}
CALLS_THAT_RUN_DATA = {"eval", "exec", "compile", "__import__", "system", "popen", "import_module"}
#: The modules that may use each network library.
EDGES = {
    "pika": {"rabbitmq/connection.py"},
    "confluent_kafka": {"kafka/client.py"},
    "pycurl": {"sources/transfer.py"},
    "requests": set[str](),
    "sentry_sdk": {"telemetry/sentry.py"},
    "socketserver": set[str](),
    "asyncio": {"web/server.py"},
    "http.server": {"web/request.py"},
    "http.client": {"audit/push.py"},
    "urllib.request": {"audit/push.py"},
    "urllib3": set[str](),
    "httpx": set[str](),
    "ftplib": set[str](),
    "smtplib": set[str](),
}


def trees() -> Iterator[tuple[str, ast.Module]]:
    """Yield each of the package's files, by its path in it."""
    for file in PACKAGE.rglob("*.py"):
        yield str(file.relative_to(PACKAGE)), ast.parse(file.read_text("utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield the names of all modules that a file imports, and those of the packages above them."""
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [it.name for it in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{it.name}" for it in node.names)]
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def test_nothing_that_is_read_is_ever_run() -> None:
    """No unpickling, no YAML, no eval, no other program: JSON, and a properties file of ours."""
    for name, tree in trees():
        assert RUNS_DATA.isdisjoint(imports(tree)), name
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = getattr(node.func, "id", getattr(node.func, "attr", ""))
                is_pattern = ast.unparse(node.func) == "re.compile"
                assert called not in CALLS_THAT_RUN_DATA or is_pattern, (name, node.lineno)


def test_each_way_out_of_the_process_is_in_one_file() -> None:
    """So that what holds for it holds for everything."""
    found: dict[str, set[str]] = {name: set() for name in EDGES}
    for file, tree in trees():
        for name in EDGES.keys() & set(imports(tree)):
            found[name].add(file)
    assert found == EDGES


def test_the_environment_is_read_in_one_file() -> None:
    """Other modules get values, so that one module checks all variables."""
    readers = {
        name
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv"}
    }
    assert readers == {"configuration/environment.py"}


def test_certificates_are_verified_without_exception() -> None:
    """Nothing turns the verification off, or asks for an unverified context."""
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text("utf-8")
        for way in ("CERT_NONE", "_create_unverified", "SSL_VERIFYPEER", "SSL_VERIFYHOST"):
            assert way not in text, file
        assert "check_hostname = False" not in text, file
        assert "verify=False" not in text, file
