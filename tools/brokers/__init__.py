"""Private brokers on the loopback: RabbitMQ, Kafka, and a proxy to put before them."""
