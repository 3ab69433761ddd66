"""Batches: one script for each of many keys, at the cost of few commands.

A Cluster is sent a command for each key, any other Redis one for a hundred keys.  Each key's
step stays one of its own: what fails for one key is that key's answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import chain
from typing import Any

from redis.asyncio import RedisCluster
from redis.exceptions import NoScriptError

from .calls import RedisClient, queued, unless_mistyped

MOST = 100  # keys in one command: a long one holds up everybody else's

# ARGV: how many arguments each key has; their lengths, and all of them in a row, since a client
# takes as long for a short argument as for a long one.
_FOR_EACH = """
local keys, width, given, answers, at, own = KEYS, tonumber(ARGV[1]), ARGV[3], {}, 1, {}
local function run(KEYS, ARGV)
%s
end
for length in string.gmatch(ARGV[2], '%%d+') do
  own[#own + 1] = string.sub(given, at, at + length - 1)
  at = at + length
  if #own == width then
    local is_done, answer = pcall(run, {keys[#answers + 1]}, own)
    if not is_done and type(answer) ~= 'table' then answer = {err = 'ERR ' .. tostring(answer)} end
    if answer == nil then answer = false end
    answers[#answers + 1], own = answer, {}
  end
end
return answers
"""


async def run_each(redis: RedisClient, script: str, calls: Sequence[Sequence[Any]]) -> list[int]:
    """Run a script on each key with its arguments; return its answers, 0 for a key of another type.

    One round trip.
    """
    answers = await run_all(redis, script, calls)
    return [int(unless_mistyped(answer, 0)) for answer in answers]


async def run_all(redis: RedisClient, script: str, calls: Sequence[Sequence[Any]]) -> list[Any]:
    """Run a script like :func:`run_each`; an error is in the place of its answer.

    All calls have the same number of arguments, at least one.
    """
    if not calls:
        return []
    if isinstance(redis, RedisCluster):
        return await _sent(redis, script, [(1, *call) for call in calls])
    some = [calls[start : start + MOST] for start in range(0, len(calls), MOST)]
    batches = [(len(batch), *(key for key, *_ in batch), *_in_a_row(batch)) for batch in some]
    answers = await _sent(redis, _FOR_EACH % script, batches)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return list(chain.from_iterable(answers))


def _in_a_row(calls: Sequence[Sequence[Any]]) -> tuple[int, str, bytes]:
    own = [
        one if isinstance(one, bytes) else str(one).encode()
        for one in chain.from_iterable(arguments for _, *arguments in calls)
    ]
    return len(calls[0]) - 1, " ".join(map(str, map(len, own))), b"".join(own)


async def _sent(redis: RedisClient, script: str, batches: Sequence[Sequence[Any]]) -> list[Any]:
    """Send the digest of the script, and the script only to a server that does not know it."""
    digest = hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
    answers = await queued(redis, [("EVALSHA", digest, *batch) for batch in batches])
    unknown = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
    if unknown:
        again = await queued(redis, [("EVAL", script, *batches[n]) for n in unknown])
        for n, answer in zip(unknown, again, strict=True):
            answers[n] = answer
    return answers
