"""The edge to RabbitMQ: the connection, the consumer, the queues, and copies of notifications.

The only room that imports pika, in ``connection.py``. It settles deliveries, and reads only the
checkout and the status of a body.
"""
