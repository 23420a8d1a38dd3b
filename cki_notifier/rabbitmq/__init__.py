"""The edge to RabbitMQ: the connection, the consumer, the queues, and copies of what failed.

The only room that imports pika, in ``connection.py``. It settles deliveries, and reads no
more of a body than the checkout and the status it is about.
"""
