"""The bulk cipher writes and reads what Fernet does."""

from __future__ import annotations

import base64

import pytest
from cryptography.fernet import Fernet, InvalidToken
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.every import every
from tests.kit.library import KEY, OTHER_KEY
from webui.oauth_manager.storage.bulk_cipher import BulkCipher

FERNET = Fernet(KEY)
NOW = 1795000000.5  # epoch seconds


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_fernet_reads_every_text_of_a_row(texts: list[bytes]) -> None:
    cipher = BulkCipher(KEY.encode())
    sealed = [cipher.encrypt(text, NOW) for text in texts]
    assert [FERNET.decrypt(token) for token in sealed] == texts
    assert [cipher.decrypt(token) for token in reversed(sealed)] == texts[::-1]


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_every_text_of_a_row_by_fernet_is_read(texts: list[bytes]) -> None:
    cipher = BulkCipher(KEY.encode())
    assert [cipher.decrypt(FERNET.encrypt(text).decode()) for text in texts] == texts


def test_the_same_text_never_looks_the_same_and_has_its_time() -> None:
    cipher = BulkCipher(KEY.encode())
    sealed = {cipher.encrypt(b"canary", NOW) for _ in range(100)}
    vectors = {base64.urlsafe_b64decode(token)[9:25] for token in sealed}
    assert len(sealed) == len(vectors) == 100
    assert FERNET.extract_timestamp(sealed.pop()) == int(NOW)


@given(st.binary(max_size=60), st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_is_refused(text: bytes, place: int, change: int) -> None:
    cipher = BulkCipher(KEY.encode())
    data = bytearray(base64.urlsafe_b64decode(cipher.encrypt(text, NOW)))
    data[place % len(data)] ^= change
    token = base64.urlsafe_b64encode(data).decode()
    assert not cipher.has_signed(token)
    with pytest.raises(InvalidToken):
        cipher.decrypt(token)
    assert cipher.decrypt(cipher.encrypt(text, NOW)) == text


@every("token", ["", "junk", "\0", "é", "\udcff", "gAAAAA==", "{}", "=" * 99, "A" * 400])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        BulkCipher(KEY.encode()).decrypt(token)


def test_only_the_key_that_signed_a_token_says_so() -> None:
    token = Fernet(OTHER_KEY).encrypt(b"canary").decode()
    assert BulkCipher(OTHER_KEY.encode()).has_signed(token)
    assert not BulkCipher(KEY.encode()).has_signed(token)
