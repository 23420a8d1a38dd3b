"""Remembers which texts were seen, in a few bytes for each."""

import hashlib

#: Bits kept of each text, in 32 bytes of memory. With a million texts, the chance that a new one
#: counts as seen is one in 10^12.
_BITS = 60
_BYTES = 8


class Digests:
    """Texts that were seen."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def add(self, *parts: str) -> bool:
        """Remember a text of several parts; tell whether it is new."""
        digest = _digest(parts)
        if digest in self._seen:
            return False
        self._seen.add(digest)
        return True

    def has(self, *parts: str) -> bool:
        """Tell whether a text of these parts was seen."""
        return _digest(parts) in self._seen


def _digest(parts: tuple[str, ...]) -> int:
    text = "\0".join(parts).encode(errors="surrogatepass")
    digest = hashlib.blake2b(text, digest_size=_BYTES).digest()
    return int.from_bytes(digest) >> (_BYTES * 8 - _BITS)
