"""How do the CRM's secrets lie in the database? Encrypted as the platform does it, or in the shape they were found in.

AES-256-GCM without additional data. Ours and the platform's API and worker: base64( iv[12] + tag[16] + ciphertext ).
Its web app: hex(iv[16]) ":" hex(ciphertext) ":" hex(tag[16]). And plain text, which its API writes for both tokens.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from oxcart.errors import SettingsError
from oxcart.language import tr
from oxcart.secret import Secret
from oxcart.settings import encryption_key_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_TAG = 16
_HEX_TRIPLE = re.compile(r"([0-9a-fA-F]{32}):((?:[0-9a-fA-F]{2})*):([0-9a-fA-F]{32})")

# Kommo's own secrets are JWTs, hex or letters and digits. Base64 of a ciphertext has one of these: a padding nearly
# always when it is short, a "+" or "/" surely when it is long.
_ONLY_BASE64 = re.compile(r"[+/=]")


class NoKeyFits(SettingsError):  # noqa: N818 - says what is wrong
    """A secret is encrypted with a key that we do not have."""

    def __init__(self, happened: str, cure: str) -> None:
        self.happened = happened
        self.cure = cure
        super().__init__([f"{happened} {cure}"])


class Shape(StrEnum):
    PLAIN = "plain"
    BASE64 = "base64"
    HEX = "hex"


@dataclass(frozen=True, slots=True)
class Opened:
    """A secret as read from the database. `is_current`: it was written with today's key."""

    secret: Secret
    shape: Shape
    is_current: bool = True


@dataclass(frozen=True, slots=True)
class Keyring:
    """`current` encrypts and decrypts, `old` ones only decrypt.

    Without a key what lies in plain text is read, and kept so where another program put it; nothing new is written.
    """

    current: Secret | None = None
    old: Sequence[Secret] = ()

    @property
    def usual_shape(self) -> Shape:
        """For a secret that was not in the database before. Raises SettingsError if there is no key to encrypt it."""
        if self.current is None:
            raise _no_key()
        return Shape.BASE64

    def open(self, text: str, what: str) -> Opened:
        """Raises NoKeyFits if it is encrypted; `what` names it in the message."""
        triple = _HEX_TRIPLE.fullmatch(text)
        if triple is not None:
            iv, ciphertext, tag = (bytes.fromhex(part) for part in triple.groups())
            return self._decrypted(iv, ciphertext + tag, Shape.HEX) or self._no_key_fits(what)
        sealed = _base64(text)
        if sealed is not None:
            found = self._decrypted(sealed[:12], sealed[12 + _TAG :] + sealed[12 : 12 + _TAG], Shape.BASE64)
            if found is not None:
                return found
            if _ONLY_BASE64.search(text):
                return self._no_key_fits(what)
        return Opened(Secret(text), Shape.PLAIN)

    def seal(self, secret: Secret, shape: Shape) -> str:
        """In this shape, with today's key. Raises SettingsError if it takes a key and there is none."""
        if shape is Shape.PLAIN:
            return secret.reveal()
        if self.current is None:
            raise _no_key()
        iv = os.urandom(12 if shape is Shape.BASE64 else 16)
        sealed = _cipher(self.current).encrypt(iv, secret.reveal().encode(), None)
        ciphertext, tag = sealed[:-_TAG], sealed[-_TAG:]
        if shape is Shape.HEX:
            return f"{iv.hex()}:{ciphertext.hex()}:{tag.hex()}"
        return base64.b64encode(iv + tag + ciphertext).decode()

    def _decrypted(self, iv: bytes, sealed: bytes, shape: Shape) -> Opened | None:
        from cryptography.exceptions import InvalidTag

        for key, is_current in self._keys():
            try:
                text = _cipher(key).decrypt(iv, sealed, None).decode()
            except (InvalidTag, UnicodeDecodeError):
                continue
            return Opened(Secret(text), shape, is_current)
        return None

    def _keys(self) -> Iterator[tuple[Secret, bool]]:
        if self.current is not None:
            yield self.current, True
        for key in self.old:
            yield key, False

    def _no_key_fits(self, what: str) -> Opened:
        if self.current is None:
            cure = tr(
                "Set ENCRYPTION_KEY to the value that the platform has; if it is lost, connect the account again."
            )
        else:
            cure = tr(
                "If the key was changed, put the earlier one into OXCART_ENCRYPTION_KEYS_OLD; if it is lost, connect "
                "the account again."
            )
        raise NoKeyFits(tr("{what} is encrypted, and no key that is set opens it.", what=what), cure)


def _no_key() -> SettingsError:
    message = (
        "ENCRYPTION_KEY is not set, and the CRM's secrets are to be encrypted. Make a key with "
        "`openssl rand -base64 32`, set it, and keep a copy: without it the tokens cannot be read."
    )
    return SettingsError([message])


def _cipher(key: Secret) -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(encryption_key_bytes(key))


def _base64(text: str) -> bytes | None:
    """None for what cannot be base64 of an IV, a tag and something."""
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return found if len(found) > 12 + _TAG else None
