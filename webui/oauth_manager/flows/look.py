"""``Look``: all accounts of one service that a person has, with everything stored of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..models import Account, Connection
from ..storage import lookup
from ..storage.account_names import Named, Names, name_of
from ..storage.records import Stored, opened
from ..storage.storage import Storage, Subject
from ..values import Struct, replace


class Look(Struct, frozen=True):
    """Everything that is stored of one person at one service; ``stored`` is by slot.

    It has the first account, there or not, and every other one of the list.
    """

    first: Subject
    names: Names
    stored: Mapping[str, Stored]

    @property
    def live(self) -> list[str]:
        """List the slots of the accounts that are there, working or not."""
        return [slot for slot, one in self.stored.items() if one.is_there]

    @property
    def shown(self) -> list[str]:
        """List the slots with anything to show, in their order; the first's if there is none."""
        held = [slot for slot, one in self.stored.items() if one.is_there or one.held]
        return held or [""]

    def slot_of(self, account: Account) -> str | None:
        """Return the slot at which this very account is connected, ``None`` if at none."""
        same = self.first.provider.is_same_account
        return next((s for s in self.live if same(self.stored[s].facts.account, account)), None)

    def name(self, slot: str) -> str:
        """Return the name of an account as it is shown; one that has none is the only one."""
        return self.names.shown(slot)

    def as_read(self, slot: str) -> Stored:
        """Return the records of a slot, with the moment at which the first's were read."""
        first, stored = self.stored[""], self.stored.get(slot) or Stored()
        return replace(
            stored, clock_ahead=first.clock_ahead, read_at=first.read_at, names=first.names
        )

    def named(self, connection: Connection, slot: str) -> Connection:
        """Return a connection with its slot, and what the person calls it."""
        return replace(connection, name=self.name(slot), slot=slot)

    def entry(self, slot: str) -> Named:
        """Return the entry of the list for an account that has none yet."""
        return self.names.at(slot) or Named(slot, self.key(slot))

    def key(self, slot: str) -> str:
        """Return the name that tells it from the others."""
        return name_of(self.names.shown(slot), self.stored[slot].facts.account.label)


async def look(storage: Storage, first: Subject) -> Look:
    """Look at all accounts of a service.  One round trip, two if there are several."""
    stored = await lookup.read_one(storage, first.at(""))
    (found,) = await look_beside(storage, [(first.at(""), stored)])
    return found


async def look_at_all(storage: Storage, firsts: Sequence[Subject]) -> list[Look]:
    """Look at all accounts of several services of one person, in as many trips."""
    sealed = await lookup.read_sealed(storage, firsts, with_names=True)
    pairs = zip(firsts, sealed, strict=True)
    return await look_beside(storage, [(one, opened(storage, one, text)) for one, text in pairs])


async def look_beside(storage: Storage, found: Sequence[tuple[Subject, Stored]]) -> list[Look]:
    """Look at the further accounts of services whose first ones were read with their names."""
    others = [first.at(slot) for first, one in found if one.names for slot in one.names.others]
    more = await lookup.read(storage, others) if others else []
    known = dict(zip(((one.user_id, one.place) for one in others), more, strict=True))
    looks = []
    for first, stored in found:
        names = stored.names or Names()
        held = {slot: known[first.user_id, first.at(slot).place] for slot in names.others}
        looks.append(Look(first, names, {"": stored, **held}))
    return looks


async def first_accounts(storage: Storage, subjects: Sequence[Subject]) -> list[Subject]:
    """Leave out further accounts of a person who is counted at another one of the service."""
    further = [subject for subject in subjects if subject.slot]
    firsts = {(one.user_id, one.provider.name): one.at("") for one in further}
    looks = await look_at_all(storage, list(firsts.values())) if firsts else []
    known = dict(zip(firsts, (seen.live for seen in looks), strict=True))
    return [
        one
        for one in subjects
        if not one.slot or known[one.user_id, one.provider.name][:1] == [one.slot]
    ]
