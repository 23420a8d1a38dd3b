"""Writes what of `deploy/` is made from something else: the dashboard, and the PrometheusRule."""
