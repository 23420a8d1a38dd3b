"""What of the documentation is made from the code; nothing of it is installed."""
