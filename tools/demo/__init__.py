"""The demo: run the daemon with private brokers and stand-ins, and show its decisions and messages.

`scripts/demo` prepares the machine and runs `python -m tools.demo`. Three more programs:
`python -m tools.demo.publish` publishes a notification, `python -m tools.demo.watch` shows the
messages of a topic, `python -m tools.demo.control` kills and starts the processes of `--cluster`.
"""
