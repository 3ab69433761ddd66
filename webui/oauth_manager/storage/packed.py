"""Packed records: short JSON made shorter before it is sealed, by words that it usually has.

Only for records without a secret.  Beside a text that somebody may choose, the length of
a packed secret would tell of it.
"""

from __future__ import annotations

import zlib

KINDS = frozenset({"connection", "event"})  # of records that are packed

_MARK = b"\x01"  # no JSON begins like this; other words take another mark
# The words, the usual ones last.  What is stored opens with these very bytes alone.
WORDS = (
    b'"failed_check":"reconnect_needed","failed_check_at":1795"accepted_missing":["'
    b'"is_account_refused":true"refused_since":1795"refused_at":1795"problem_trace":"'
    b'"problem":"invalid_grant","problem_since":1795"problem_kind":"gone"'
    b'"trouble":"provider","trouble_since":1795"trouble_code":"http_503"'
    b'"https://www.googleapis.com/auth/calendar.events","gmail.readonly","drive.file"'
    b'"https://graph.microsoft.com/Mail.ReadWrite","offline_access","User.Read"'
    b'"guilds","repo","read:user","identify","openid","email","profile"'
    b'{"event":"disconnected","by":"chat"{"event":"used","by":"bot"'
    b'{"event":"connected","by":"web","at":1795"detail":"","account":"@gmail.com",'
    b'"kind":"event","v":1}"used_at":1795{"account":{"id":"1","label":"@gmail.com"},'
    b'"connected_at":1795,"renewed_at":1795,"checked_at":1795,"requested_scopes":["'
    b'"],"generation":"","provider":"discord","provider":"microsoft",'
    b'"provider":"github","provider":"google","user_id":"","kind":"connection","v":1}'
)
_WINDOW = -12  # 4 kB, and no header or sum: the seal vouches for the bytes
_EFFORT, _MEMORY = 9, 5


def pack(plain: bytes) -> bytes:
    """Pack JSON, for :func:`unpacked`."""
    packer = zlib.compressobj(_EFFORT, zlib.DEFLATED, _WINDOW, _MEMORY, zdict=WORDS)
    return _MARK + packer.compress(plain) + packer.flush()


def is_packed(data: bytes) -> bool:
    return data.startswith(_MARK)


def unpacked(data: bytes, most: int) -> bytes:
    """Return the JSON, packed or not.  Raises ``ValueError`` if it has over ``most`` bytes."""
    if not is_packed(data):
        return data
    packer = zlib.decompressobj(_WINDOW, WORDS)
    try:
        plain = packer.decompress(data[len(_MARK) :], most)
    except zlib.error:
        raise ValueError("damaged") from None
    if not packer.eof:
        raise ValueError("cut off, or too large")
    return plain
