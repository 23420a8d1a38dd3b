"""Generate deploy/kubernetes/base/prometheus-rule.yaml from the alert rules."""

from typing import Final

from tools import PROJECT

_HEAD: Final = """\
# Made of deploy/monitoring/alerts.yaml by `python -m tools.documentation`: change the rules there.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: cki-notifier
spec:
"""


def page() -> str:
    """Return the PrometheusRule, with the rules and their comments as its spec."""
    rules = (PROJECT / "deploy/monitoring/alerts.yaml").read_text("utf-8").splitlines()
    body = [f"  {line}" if line else "" for line in rules[rules.index("groups:") :]]
    return _HEAD + "\n".join(body) + "\n"
