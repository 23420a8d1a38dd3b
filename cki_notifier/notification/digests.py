"""Which texts were seen, remembered by a few bytes each however long they are."""

import hashlib

#: So many bits of each are kept, which Python holds in 32 bytes. Of a million texts, one that was
#: not seen is taken for one that was with a chance of one in 10^12.
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
