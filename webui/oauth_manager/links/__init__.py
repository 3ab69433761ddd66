"""Links from chat: their codes, the proof that a browser is the person's, links that are open."""

from .proofs import Parked, Proof, as_typed
from .readable_codes import CODE_ALPHABET, CODE_LENGTH, new_code

__all__ = ["CODE_ALPHABET", "CODE_LENGTH", "Parked", "Proof", "as_typed", "new_code"]
