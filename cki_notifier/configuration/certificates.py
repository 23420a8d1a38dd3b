"""The certificate authorities that are trusted for https."""

import ssl

import certifi


def certificate_authorities() -> str:
    """Return the system's file of certificate authorities, or certifi's where there is none."""
    return ssl.get_default_verify_paths().cafile or certifi.where()
