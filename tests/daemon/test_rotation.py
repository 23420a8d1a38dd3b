"""A token is rotated as docs/rotate-a-token.md says."""

import json
from pathlib import Path

from tests.brokers.stage import Stage, eventually
from tools.stand_ins import documents


def test_a_rotated_token_counts_after_a_restart_and_nothing_is_lost(
    stage: Stage, tmp_path: Path
) -> None:
    """The doctor reads the new file at once; the daemon, and what it delayed, after a restart."""
    warehouse = stage.services.warehouse
    first, second = (documents.checkout(f"redhat:{number}") for number in (1, 2))
    for checkout in (first, second):
        warehouse.add(documents.everything(checkout, [documents.build(checkout)]))
    token = tmp_path / "token"
    token.write_text(f"{warehouse.token}\n")
    stage.environment |= {"DATAWAREHOUSE_TOKEN": "", "DATAWAREHOUSE_TOKEN_FILE": str(token)}
    daemon = stage.daemon()
    stage.publish(documents.notification(first, "build_setups_finished"))
    assert [record.key for record in stage.records(1)] == ["redhat:1"]

    warehouse.token = "the new one"
    token.write_text("the new one\n")
    report = json.loads(stage.command("doctor", "--json").stdout)
    states = {check["name"]: check["state"] for check in report["checks"]}
    assert states["datawarehouse"] == "ok"
    stage.publish(documents.notification(second, "build_setups_finished"))
    delayed = eventually(lambda: daemon.settled()[1:], what="what the old token leads to")
    assert [(it["outcome"], it["reason"]) for it in delayed] == [("delayed", "unavailable")]

    assert daemon.stop() == 0
    daemon.start()
    assert [record.key for record in stage.records(2)] == ["redhat:1", "redhat:2"]
    stage.finish(daemon)
