"""The services a notification's facts come from: only in here is an endpoint known."""
