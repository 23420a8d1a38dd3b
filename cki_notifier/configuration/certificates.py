"""The certificate authorities that are trusted for HTTPS."""

import ssl

import certifi


def certificate_authorities() -> str:
    """Return the path of the system's certificate authorities, or of certifi's without these."""
    return ssl.get_default_verify_paths().cafile or certifi.where()
