"""Links from chat: their codes, the proof that a browser is the person's, links that are open."""

from ..readable_codes import CODE_ALPHABET, CODE_LENGTH, new_code
from .proofs import Parked, Proof, as_typed

__all__ = ["CODE_ALPHABET", "CODE_LENGTH", "Parked", "Proof", "as_typed", "new_code"]
