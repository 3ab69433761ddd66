"""Links from chat: their codes, the proof that a browser is the person's, links that are open."""

from .proofs import CODE_ALPHABET, CODE_LENGTH, Parked, Proof, as_typed

__all__ = ["CODE_ALPHABET", "CODE_LENGTH", "Parked", "Proof", "as_typed"]
