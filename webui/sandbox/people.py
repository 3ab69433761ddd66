"""The two made-up people that have an account at every stand-in."""

from __future__ import annotations

from webui.oauth_manager.values import Struct

TENANT = "9188040d-6c67-4c5b-b112-36a304b66dad"


class Person(Struct, frozen=True):
    """One account holder; ``number`` makes the ids of the four providers differ."""

    login: str
    name: str
    number: int

    @property
    def email(self) -> str:
        return f"{self.login}@example.com"

    @property
    def object_id(self) -> str:
        return f"00000000-0000-0000-66f3-{self.number:012x}"


PEOPLE = {
    person.login: person
    for person in (Person("mona", "Mona Lisa", 583231), Person("hubert", "Hubert Otter", 583232))
}


def openid_claims(person: Person) -> dict[str, str]:
    return {"sub": f"1{person.number:020d}"}


def microsoft_claims(person: Person) -> dict[str, str]:
    return {"sub": person.object_id, "oid": person.object_id, "tid": TENANT}
