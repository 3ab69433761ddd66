"""Tokens for callers without asyncio: Flask, Django, Celery, a plain script."""

from __future__ import annotations

import os
from dataclasses import dataclass

from webui.oauth_manager import OAuthNotConnected
from webui.oauth_manager.blocking import init_oauth_manager, oauth_client

GITHUB_API = os.environ.get("GITHUB_API", "https://api.github.com")


@dataclass
class Person:
    user_id: str


def set_up() -> None:
    """Once, at the start of the program, before or after it forks."""
    github = {
        "client_id": os.environ["GITHUB_CLIENT_ID"],
        "client_secret": os.environ["GITHUB_CLIENT_SECRET"],
    }
    init_oauth_manager(
        os.environ["ENCRYPTION_KEY"],
        os.environ["BASE_URL"],
        {"github": github},
        redis_url=os.environ["REDIS_URL"],
    )


def whoami(person: Person) -> str:
    """Ask GitHub; any thread may, at any time."""
    with oauth_client(person, "github") as github:
        return str(github.get(f"{GITHUB_API}/user").json()["login"])


def main() -> None:
    set_up()
    try:
        print("You are", whoami(Person(os.environ["PERSON"])))
    except OAuthNotConnected as missing:
        print(missing)  # for the person alone: it holds a link of theirs


if __name__ == "__main__":
    main()
