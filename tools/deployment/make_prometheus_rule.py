"""Writes the PrometheusRule, made of the alert rules, to standard output.

::

    python tools/deployment/make_prometheus_rule.py > deploy/kubernetes/base/prometheus-rule.yaml
"""

import sys

from tools import PROJECT

ALERTS = PROJECT / "deploy" / "monitoring" / "alerts.yaml"
HEAD = """\
# Made of deploy/monitoring/alerts.yaml: change the rules there, and then run
# python tools/deployment/make_prometheus_rule.py > deploy/kubernetes/base/prometheus-rule.yaml
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: cki-notifier
spec:
"""


def main() -> None:
    """Print the rules as they are, comments and all, as the spec."""
    lines = ALERTS.read_text(encoding="utf-8").splitlines()
    body = [f"  {line}" if line else "" for line in lines[lines.index("groups:") :]]
    sys.stdout.write(HEAD + "\n".join(body) + "\n")


if __name__ == "__main__":
    main()
