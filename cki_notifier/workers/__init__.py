"""How work is spread over threads and time: lanes, deadlines, gates before what is down.

Machinery that does not know what the work is: no notification, no service, no rule.
"""
