"""compose.yaml follows the compose specification and the rules of this project."""

import contextlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cki_notifier.configuration.settings import Config, read_config, revealed
from cki_notifier.kafka.client import setting_faults
from tests.deploy.compose import project
from tools.demo.bus import EXCHANGE
from tools.stand_ins.configured import configured

_SCHEMA = "vendor.compose-spec"

#: The services that end before the others start.
ONCE = frozenset({"topic"})


def schema_faults(file: Path) -> str:
    """Return the errors of the compose specification's schema, or an empty text."""
    checker = Path(sys.executable).with_name("check-jsonschema")
    result = subprocess.run(
        [checker, "--builtin-schema", _SCHEMA, file],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return result.stdout + result.stderr if result.returncode else ""


def of_daemon() -> Config:
    """Return the configuration that the daemon reads in its container."""
    return read_config(project.environment("cki-notifier"), check_kafka=setting_faults)


def test_it_is_what_the_compose_specification_says() -> None:
    """The specification's schema accepts the file."""
    assert schema_faults(project.FILE) == ""


def test_the_check_against_the_specification_can_fail(tmp_path: Path) -> None:
    """An unknown word is an error."""
    file = tmp_path / "compose.yaml"
    file.write_text(project.FILE.read_text().replace("healthcheck:", "health-check:"))
    assert "health-check" in schema_faults(file)


def test_every_mounted_file_is_there_and_only_read() -> None:
    """The engine would create a folder for a missing file. No container changes the project."""
    mounts = list(project.mounts())
    assert mounts
    for mount in mounts:
        assert mount.source.exists(), mount
        assert {"ro", "z"} <= mount.options, mount  # z: SELinux allows the access


def test_nothing_is_published_but_to_this_machine() -> None:
    """Each port belongs to the loopback, and all differ."""
    ports = list(project.ports())
    assert {port.host for port in ports} == {"127.0.0.1"}
    assert len({port.published for port in ports}) == len(ports)
    assert not any("network_mode" in service for service in project.services().values())


def test_images_of_others_have_exact_versions() -> None:
    """Only Renovate updates the versions. Kafka's tools have the broker's version."""
    images = {
        name: service["image"] for name, service in project.services().items() if "image" in service
    }
    assert images.keys() == project.services().keys() - project.own().keys()
    for image in images.values():
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?", image), image
    assert images["read"] == images["kafka"]


def test_nobody_gets_more_rights_than_needed() -> None:
    """No container gains privileges. Our images also have no capabilities and write no files."""
    for name, service in project.services().items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.get("privileged")
        # RabbitMQ's image starts as root and then drops its privileges.
        assert service.get("cap_drop") == (None if name == "rabbitmq" else ["ALL"]), name
    for name, service in project.own().items():
        assert service["read_only"] is True, name
        assert service["user"] == "12345:0", name
        assert service["build"] == ".", name
        assert "image" not in service, name  # two builds at once can't export one name


def test_who_waits_for_another_waits_until_it_is_healthy() -> None:
    """Each dependency has a health check with a limit, or ends by itself.

    A service that ends needs another one that waits for it: otherwise `up --wait` fails.
    """
    services = project.services()
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            if other in ONCE:
                assert how == {"condition": "service_completed_successfully"}, name
                continue
            assert how == {"condition": "service_healthy"}, name
            check = services[other]["healthcheck"]
            assert project.seconds(check["timeout"]) <= project.seconds(check["interval"]) * 2
            assert check["retries"]
    assert services["cki-notifier"]["depends_on"].keys() == {"rabbitmq", "topic", "stand-ins"}
    assert services["topic"]["depends_on"].keys() == {"kafka"}


def test_what_runs_comes_back_after_a_crash() -> None:
    """Every service restarts, except those that end by themselves."""
    for name, service in project.services().items():
        ends = service.get("profiles") == ["tools"] or name in ONCE
        restart = None if ends else "unless-stopped"
        assert service.get("restart") == restart, name


def test_the_daemon_has_time_to_end() -> None:
    """The engine waits longer than the daemon needs to shut down and close its connections."""
    grace = project.seconds(project.services()["cki-notifier"]["stop_grace_period"])
    assert grace >= of_daemon().shutdown_seconds + 10


def test_the_daemon_reads_its_configuration_and_sends() -> None:
    """The daemon's loader accepts the variables, and they name services of this file."""
    config = of_daemon()
    assert config.sends
    assert config.rabbitmq is not None
    assert config.kafka is not None
    assert config.jira is not None
    names = project.names()
    assert [names[host] for host in config.rabbitmq.hosts] == ["rabbitmq"]
    kafka = revealed(config.kafka.settings)["bootstrap.servers"]
    assert names[kafka.partition(":")[0]] == "kafka"
    urls = [config.datawarehouse.url, config.jira.url, *config.gitlab_tokens]
    hosts = [url.removeprefix("http://").partition(":")[0] for url in urls]
    assert {names[host] for host in hosts} == {"stand-ins"}
    assert len(set(hosts)) == 3
    assert ("cki-notifier", config.metrics_port) in {
        (port.service, port.target) for port in project.ports()
    }


@pytest.mark.parametrize("service", ["stand-ins", "publish"])
def test_all_agree_on_where_the_services_are(service: str) -> None:
    """The daemon, the stand-ins and `publish` have the same addresses and tokens."""
    config = of_daemon()
    known = project.environment("cki-notifier")
    assert project.environment(service).items() <= known.items()
    theirs = read_config(project.environment(service), needs_rabbitmq=False, needs_kafka=False)
    assert config.jira is not None
    with contextlib.closing(configured(theirs)) as services:
        assert services.warehouse.url == config.datawarehouse.url
        assert services.jira.url == config.jira.url
        assert services.gitlab.url.removeprefix("http://") in config.gitlab_tokens


def test_all_agree_on_rabbitmq() -> None:
    """`publish` uses the daemon's exchange, broker and user."""
    config = of_daemon().rabbitmq
    assert config is not None
    words = project.command("publish")
    address = words[words.index("--amqp") + 1]
    user = f"{config.user}:{config.password.reveal()}"
    assert address == f"amqp://{user}@{config.hosts[0]}:{config.port}/%2F"
    assert config.virtual_host == "/"
    assert config.exchange == EXCHANGE
    # Without variables, the image creates the user guest with the password guest.
    assert user == "guest:guest"
    assert project.environment("rabbitmq") == {}
    assert project.healthcheck("rabbitmq")[-1] == str(config.port)


def test_all_agree_on_kafka() -> None:
    """The daemon and `read` use the broker's advertised address. The laptop has its own."""
    config = of_daemon().kafka
    assert config is not None
    inside = revealed(config.settings)["bootstrap.servers"]
    words = project.command("read")
    assert words[words.index("--bootstrap-server") + 1] == inside
    assert f"--topic={config.topic}" in words
    assert project.environment("topic") == {
        "KAFKA_BOOTSTRAP_SERVERS": inside,
        "KAFKA_TOPIC": config.topic,
    }
    advertised = project.environment("kafka")["KAFKA_ADVERTISED_LISTENERS"].split(",")
    (port,) = (port for port in project.ports() if port.service == "kafka")
    assert port.published == port.target
    assert set(advertised) == {f"INSIDE://{inside}", f"LAPTOP://{port.host}:{port.published}"}
