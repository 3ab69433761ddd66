"""Packed records, against the JSON they were made of."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.every import every
from tests.kit.library import KEY
from webui.oauth_manager.storage import packed
from webui.oauth_manager.storage.sealer import Sealer

MOST = 1000


@given(st.text(max_size=MOST // 4).map(str.encode))
def test_what_was_packed_comes_back(plain: bytes) -> None:
    assert packed.unpacked(packed.pack(plain), MOST) == plain


@given(st.binary(max_size=MOST).filter(lambda data: data[:1] != b"\x01"))
def test_what_was_not_packed_stays_as_it_is(plain: bytes) -> None:
    assert packed.unpacked(plain, MOST) == plain


@given(st.binary(max_size=200))
def test_damaged_bytes_are_refused_or_some_text_and_nothing_else(data: bytes) -> None:
    with suppress(ValueError):  # which zlib's own error is not
        assert len(packed.unpacked(b"\x01" + data, MOST)) <= MOST


def test_a_bomb_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        packed.unpacked(packed.pack(bytes(10 * MOST)), MOST)


def test_the_words_are_those_of_every_record_that_is_stored() -> None:
    """Other words would make all stored facts and timelines unreadable: they want a new mark."""
    assert hashlib.sha256(packed.WORDS).hexdigest()[:16] == "a7ebe990109cf564"


def test_a_record_without_a_secret_is_shorter_and_one_with_tokens_is_plain_json() -> None:
    sealer = Sealer(KEY)
    facts = {"account": {"id": "1", "label": "mona"}, "connected_at": 1795807175.18}
    short = sealer.seal("connection", "ann", "github", facts)
    assert len(short) < 0.7 * len(sealer.seal("tokens", "ann", "github", facts))
    assert sealer.open("connection", "ann", "github", short).items() >= facts.items()


@every("kind", sorted(packed.KINDS))
def test_a_record_that_an_earlier_version_sealed_is_read(kind: str) -> None:
    sealer = Sealer(KEY)
    bound = {"account": {}, "provider": "github", "user_id": "ann", "kind": kind, "v": 1}
    assert sealer.fernet is not None
    older = sealer.fernet.encrypt(json.dumps(bound).encode()).decode()
    assert sealer.open(kind, "ann", "github", older) == bound
