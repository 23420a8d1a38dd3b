"""The demo: the daemon among private brokers and stand-in services, and what it decides and sends.

`scripts/demo` prepares the machine and runs it as `python -m tools.demo`. Besides,
`python -m tools.demo.publish` publishes a notification and `python -m tools.demo.watch` shows
the messages of a topic, and `python -m tools.demo.control` plays with what `--cluster` runs.
"""
