"""The documents say what is so: tables against the code, examples by running them."""

from __future__ import annotations

import inspect
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from redis.asyncio import Redis
from starlette.testclient import TestClient

from docs.pages import every_command
from examples import plain_bot
from tests.kit.every import every
from tests.kit.fake_provider import FakeProvider, serve
from tests.kit.library import BASE_URL, KEY, fake_provider, providers_config
from tests.kit.site_fixtures import Place
from tests.rules.test_architecture import LONGEST_FUNCTION, LONGEST_MODULE
from webui import chat, oauth_manager
from webui.app import create_app
from webui.cli import main
from webui.connections import connections_from_environment
from webui.middleware.requests import BODY_SECONDS
from webui.oauth_manager import (
    PROVIDER_TEMPLATES,
    NoticeKind,
    OAuthError,
    OAuthManager,
    Rotation,
    TokenData,
    get_oauth_manager,
)
from webui.oauth_manager.providers import read
from webui.rate_limits import LIMITS, LOOKUPS
from webui.redis_client import connect
from webui.routes import routes
from webui.sandbox import demo
from webui.serving.http_connection import Patience
from webui.settings.settings import Settings, load_settings
from webui.settings.table import PROVIDER_SETTINGS, SETTINGS, Setting, known_names
from webui.text import words

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LIBRARY = (ROOT / "docs" / "library.md").read_text()
OPERATING = (ROOT / "docs" / "operating.md").read_text()
DOCUMENTS = {
    path.relative_to(ROOT).as_posix(): path.read_text()
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
}
EXAMPLE_URL = "https://connect.example.org"
SITE = "http://127.0.0.1:8000"


def tables(document: str, first_heading: str) -> list[list[list[str]]]:
    """The cells of every table whose first column is called so."""
    found = re.findall(rf"^\| {first_heading} \|.*\n\|[-|]+\n((?:\|.*\n)+)", document, re.M)
    return [
        [[cell.strip() for cell in row[1:-1].split("|")] for row in rows.splitlines()]
        for rows in found
    ]


def table(document: str, first_heading: str) -> list[list[str]]:
    (found,) = tables(document, first_heading)
    return found


def code_blocks(document: str, language: str) -> list[str]:
    """Return the text between fences, without the indentation of a list around them."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", document, re.M | re.S)
    return [re.sub(rf"^{indent}", "", text, flags=re.M) for indent, text in found]


def bare(cell: str) -> str:
    return cell.strip("`")


EXTRA = ["acme", "gitea", "linear-mcp", "slack", "notion", "okta"]  # those that examples name

# Tables


def shown_default(setting: Setting) -> str:
    if setting.is_required:
        return "required"
    return f"`{setting.default}`" if setting.default else ""


def test_the_settings_are_those_there_are() -> None:
    own, _ = tables(README, "Setting")
    assert own == [[f"`{s.name}`", s.meaning, shown_default(s)] for s in SETTINGS]


def test_the_settings_of_a_provider_are_those_there_are() -> None:
    _, of_each = tables(README, "Setting")
    assert of_each == [[f"`*_{s.name}`", s.meaning] for s in PROVIDER_SETTINGS]


def test_every_secret_is_said_to_be_readable_from_a_file() -> None:
    named = {f"{s.name}_FILE" for s in SETTINGS if s.is_secret}
    named |= {f"*_{s.name}_FILE" for s in PROVIDER_SETTINGS if s.is_secret}
    assert set(re.findall(r"`([A-Z_*]+_FILE)`", README)) == named


def usage(name: str, command: click.Command) -> str:
    context = click.Context(command, info_name=name)
    options = []
    for p in command.params:
        if isinstance(p, click.Option):
            shown = p.opts[0] if p.is_flag else f"{p.opts[0]} {p.make_metavar(context)}"
            options.append(shown if p.required else f"[{shown}]")
    arguments = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
    return " ".join(["webui", name, *options, *arguments])


def test_the_commands_are_those_there_are() -> None:
    rows = [(bare(usage), meaning) for usage, meaning in table(README, "Command")]
    commands = {usage(name, c): c.help for name, c in every_command(main)}
    assert len(rows) == len(commands)
    assert dict(rows) == commands


def test_the_addresses_are_those_there_are_in_their_order() -> None:
    rows = [(method, bare(path)) for method, path, _ in table(README, "Method")]
    assert rows == [
        ("POST" if route.methods == {"POST"} else "GET", route.path.replace(":path}", "}"))
        for route in routes()
    ]


def test_only_the_callbacks_answer_get_without_head() -> None:
    without_head = [route.path for route in routes() if route.methods == {"GET"}]
    assert without_head == ["/signin/sso/callback", "/oauth/{provider}/callback"]


def test_the_callback_addresses_and_scopes_of_every_provider_are_given() -> None:
    manager = OAuthManager(KEY, EXAMPLE_URL)
    rows = [[label, bare(url), bare(scopes)] for label, url, scopes in table(README, "Provider")]
    expected = [
        [p.label, manager.redirect_uri(p.name), " ".join(p.scopes)]
        for p in manager.providers.values()
    ]
    assert sorted(rows) == sorted(expected)


@pytest.mark.parametrize("provider", sorted(PROVIDER_TEMPLATES))
def test_how_to_register_with_a_provider_names_its_callback_address(provider: str) -> None:
    assert f"`{OAuthManager(KEY, EXAMPLE_URL).redirect_uri(provider)}`" in OPERATING


def test_the_errors_are_those_there_are() -> None:
    exported = {name: getattr(oauth_manager, name) for name in oauth_manager.__all__}
    errors = {
        name
        for name, thing in exported.items()
        if isinstance(thing, type) and issubclass(thing, OAuthError) and thing is not OAuthError
    }
    assert {bare(row[0]) for row in table(LIBRARY, "Exception")} == errors


def test_the_actions_and_notices_are_those_there_are() -> None:
    assert [bare(row[0]) for row in table(LIBRARY, "Action")] == list(chat.ACTIONS)
    (listed,) = re.findall(r"Each notice \(([^)]*)\)", LIBRARY)
    assert [bare(name.rstrip(",")) for name in listed.split()] == [k.value for k in NoticeKind]


def test_every_switch_of_the_library_is_explained() -> None:
    parameters = inspect.signature(oauth_manager.init_oauth_manager).parameters.values()
    switches = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}
    assert switches == {"strict", "outgoing_proxy", "clock"}
    assert [name for name in switches if f"`{name}=" not in LIBRARY] == []


def test_the_limits_are_those_there_are() -> None:
    rows = [(whom.split()[1], most) for _, whom, most in table(OPERATING, "Tries")]
    counted = {
        "miss": "address",
        "start": "address",
        "reference": "caller:",
        "anonymous_reference": "together",
    }
    limits = {**LIMITS, "lookups": LOOKUPS}
    assert rows == [(counted.get(name, "person"), most) for name, most in limits.items()]


def test_how_long_a_slow_client_is_waited_for_is_said() -> None:
    patience = Patience()
    said = " ".join(OPERATING.split())
    assert f"headers have {patience.head:.0f} seconds to arrive" in said
    assert f"a body {BODY_SECONDS:.0f} more" in said
    assert f"an answer {patience.take:.0f} to be taken" in said
    assert f"waits {patience.next_request:.0f} seconds for its next request" in said


async def test_checks_on_the_page_and_in_chat_are_counted_together(place: Place) -> None:
    ann = await place.signed_in("ann")
    oauth_manager.init_oauth_manager(KEY, BASE_URL, place.settings.providers_config)
    caller = Caller("ann", place.redis)
    for _ in range(5):
        assert (await ann.post("/connections/github/check")).status_code == 303
        assert "not connected" in await chat.connect_service(caller, "check", "github")
    assert "Try again" in await chat.connect_service(caller, "check", "github")


def test_every_key_in_redis_is_listed() -> None:
    listed = {re.split("[:{]", row[0].split("`")[1])[1] for row in table(OPERATING, "Key")}
    sources = [path.read_text() for path in (ROOT / "webui").rglob("*.py")]
    used = {name for text in sources for name in re.findall(r"stargazer:([a-z_]+)", text)}
    assert listed == used


# What is named


def test_the_first_steps_name_addresses_and_buttons_that_are_there() -> None:
    first_steps = README.partition("## For a bot's author")[0]
    ports = {p.name: p.default for p in main.commands["demo"].params}
    assert f"<http://{demo.HOST}:{ports['provider_port']}>" in first_steps
    assert f"<http://{demo.HOST}:{ports['port']}/signin?next=/support>" in first_steps
    assert f"`{ports['data']}`" in first_steps
    buttons = {
        words.text("link.yes"),
        words.text("proof.continue", provider="GitHub"),
        words.text("signon.button", label="the stand-in"),
    }
    assert set(re.findall(r"\*([A-Z][^*]+)\*", first_steps)) == buttons


@every("document", list(DOCUMENTS))
def test_every_link_within_the_documents_leads_somewhere(document: str) -> None:
    folder = (ROOT / document).parent
    for target in re.findall(r"\]\(([^)]+)\)", DOCUMENTS[document]):
        if "://" in target:
            continue
        path, _, heading = target.partition("#")
        file = folder / path if path else ROOT / document
        assert file.is_file(), target
        titles = re.findall(r"^#+ (.*)", file.read_text(), re.M)
        anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}
        assert not heading or heading in anchors, target


def test_the_targets_of_make_are_those_there_are() -> None:
    listed = [[bare(target).split()[1], meaning] for target, meaning in table(README, "Target")]
    makefile = (ROOT / "Makefile").read_text()
    assert listed == [list(found) for found in re.findall(r"^([a-z-]+):.* ## (.*)", makefile, re.M)]
    (phony,) = re.findall(r"^\.PHONY: (.*)", makefile, re.M)
    assert [target for target, _ in listed] == phony.split()


@pytest.mark.parametrize("target", ["", "help"])
def test_make_alone_lists_its_targets(target: str) -> None:
    command = ["make", "--no-print-directory", *target.split()]
    shown = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    rows = [[bare(target), meaning] for target, meaning in table(README, "Target")]
    assert [re.split(" {2,}", line, maxsplit=1) for line in shown.splitlines()] == rows


def test_make_runs_the_tests_of_every_room() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (others,) = re.findall(r"^TESTS := (.*)$", makefile, re.M)
    rooms = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    apart = ["tests/engines", "tests/frameworks"]
    assert all(f"pytest -q {room}" in makefile for room in apart)
    named = ["tests/browser", *apart, *others.split()]
    assert sorted(named) == sorted(str(room.relative_to(ROOT)) for room in rooms)


def test_hooks_before_a_commit_are_the_commands_of_make_lint() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (lint,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.M)
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in lint.splitlines()]
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    assert re.findall(r"^ +entry: (.*)$", hooks, re.M) == commands


@every("document", list(DOCUMENTS))
def test_every_command_that_is_named_exists(document: str) -> None:
    text = DOCUMENTS[document]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    code = "\n".join([*re.findall(r"`([^`\n]+)`", text), *code_blocks(text, "sh")])
    assert set(re.findall(r"^make ([a-z-]+)", code, re.M)) <= targets
    assert set(re.findall(r"^webui ([a-z-]+)", code, re.M)) <= set(main.commands)


@every("document", list(DOCUMENTS))
def test_every_setting_that_is_named_exists(document: str) -> None:
    known = known_names(EXTRA) | {f"*_{s.name}" for s in PROVIDER_SETTINGS}
    known |= {f"*_{s.name}_FILE" for s in PROVIDER_SETTINGS if s.is_secret}
    ends = (
        "URL|KEY|SECRET|ID|SCOPES|TENANT|RECORDS|PROXIES|FEATURES|PKCE|REQUIRED|GONE|TEXTS|PURPOSE"
    )
    ours = rf"(?:[A-Z]+_)*(?:{ends})(?:_FILE)?"
    named = set(re.findall(rf"`((?:\*_)?{ours})(?:=[^`]*)?`", DOCUMENTS[document]))
    assert named - known == set()


# Decisions

DECISIONS = [name for name in DOCUMENTS if re.match(r"docs/decisions/\d", name)]


def test_the_index_of_decisions_lists_each_by_its_title_in_their_order() -> None:
    listed = re.findall(r"^- \[(.*)\]\((.*)\)$", DOCUMENTS["docs/decisions/README.md"], re.M)
    titles = [DOCUMENTS[name].splitlines()[0].removeprefix("# ") for name in DECISIONS]
    assert listed == list(zip(titles, [Path(name).name for name in DECISIONS], strict=True))
    numbers = [int(Path(name).name[:4]) for name in DECISIONS]
    assert numbers == sorted(set(numbers))


@every("document", list(DECISIONS))
def test_a_decision_is_short_and_says_its_reason_and_what_follows(document: str) -> None:
    text = DOCUMENTS[document]
    assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.M) == ["Decision", "Reason", "Consequence"]
    assert 8 <= len(text.splitlines()) <= 20


def test_the_longest_pieces_are_those_that_the_tests_let_pass() -> None:
    assert f"stop at {LONGEST_MODULE} and {LONGEST_FUNCTION}." in DOCUMENTS["CONTRIBUTING.md"]


@every("document", ["CONTRIBUTING.md", "SECURITY.md", *DECISIONS])
def test_every_file_that_a_guide_names_exists(document: str) -> None:
    named = re.findall(r"`((?:webui|tests|static|docs|examples)/[^`]*)`", DOCUMENTS[document])
    assert [name for name in named if not (ROOT / name).exists()] == []


# Examples


def environment(block: str) -> dict[str, str]:
    """``NAME=value`` lines, comments left out."""
    lines = [shlex.split(line, comments=True) for line in block.splitlines()]
    return dict(word.split("=", 1) for words in lines for word in words)


REQUIRED = {
    "BASE_URL": EXAMPLE_URL,
    "REDIS_URL": "redis://127.0.0.1:6379/0",
    "ENCRYPTION_KEY": KEY,
    "SESSION_SECRET": "kX9wq2-mTzR7_pL4vB8nC1yH6jD3fG5s",
}


def test_the_example_settings_lack_only_what_everybody_makes_themselves() -> None:
    (block,) = [b for b in code_blocks(README, "sh") if "SESSION_SECRET" in b]
    shown = environment(block)
    assert sorted(name for name, value in shown.items() if not value) == [
        "ENCRYPTION_KEY",
        "GITHUB_CLIENT_ID",
        "SESSION_SECRET",
    ]
    client = {"GITHUB_CLIENT_ID": "id", "GITHUB_CLIENT_SECRET": "secret"}
    settings = load_settings({**REQUIRED, **{k: v for k, v in shown.items() if v}, **client})
    assert settings.base_url == EXAMPLE_URL


BLOCKS = [
    (language, re.sub(rf"^{indent}", "", text, flags=re.M))
    for document in DOCUMENTS.values()
    for indent, language, text in re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", document, re.M | re.S)
]
ASSIGNMENTS = re.compile(r"(?:[A-Z_]+=.*\n)+")
# Where each kind of block is run: here, unless another module is named.
RUN = {
    "settings": ASSIGNMENTS,
    "commands of make": re.compile(r"(?:make .*\n)+"),
    "an installation, in test_packaging": re.compile(r"python3 -m venv build\n"),
    "an export of the audit": re.compile(r"webui audit .*\n"),
    "an import, in test_moving_in": re.compile(r"(?:env|python3|psql) .*\| webui import -\n"),
    "a probe": re.compile(r"livenessProbe:\n"),
    "a user of Redis": re.compile(r"ACL SETUSER .*\n"),
    "providers in a file": re.compile(r"extra_providers = |\[google\]"),
    "a provider's file": re.compile(r'label = "Gitea"'),
    "a file that asks, below": re.compile(r'authorize_url = "https://\{team\}'),
    "a renewal": re.compile(r"fresh = await manager\.renew\("),
    "a set-up, in the next test": re.compile(r"async with connections_from_environment\("),
    "a client": re.compile(r"async with oauth_client\("),
    "files of another bot, in test_stargazer": re.compile(r"from webui(?:\.chat)? import "),
    "the loop of a bot": re.compile(r"async for notice in "),
    "rooms and layers, in test_walks": re.compile(r"commands/|__main__\b|blocking\n|people\b"),
    "a step of the tutorial, in test_pages": re.compile(
        r"\.venv/bin/python -m pytest|async def repositories|def test_the_repositories"
    ),
    "a backup, in tests/engines": re.compile(r"redis-cli -u|redis-server --dir"),
    "of webhooks, in test_webhooks_page": re.compile(
        r'echo "WEBHOOK_SECRET|webui notify|\{"type": "connection|from standardwebhooks'
    ),
    "of the API, in test_api_page": re.compile(
        r'webui keys |curl -s .*/api/v1/|\{"access_token"|\{"notices"'
    ),
    "a whole file, in test_examples": re.compile(r'"""|server \{\n|(?:package main )?// A bot '),
}


@every("text", [text for _, text in BLOCKS])
def test_every_example_is_of_a_kind_that_some_test_runs(text: str) -> None:
    assert [kind for kind, begins in RUN.items() if begins.match(text)]


@pytest.mark.parametrize(
    "text",
    [t for language, t in BLOCKS if language == "sh" and ASSIGNMENTS.fullmatch(t)],
    ids=lambda text: text.split("=")[0],
)
def test_the_settings_of_every_example_are_taken(text: str, tmp_path: Path) -> None:
    given = {name: value for name, value in environment(text).items() if value}
    beside = {"GITHUB_CLIENT_ID": "id"} if "GITHUB_CLIENT_SECRET" in given else {}
    assert set(given) - known_names(EXTRA) <= {"SSL_CERT_FILE"}
    if "PRODUCT_LOGO" in given:
        assert given["PRODUCT_LOGO"].endswith(".svg")
        given["PRODUCT_LOGO"] = str(ROOT / "static" / "favicon.svg")
    for name in given:
        if name.endswith("_CLIENT_KEY_FILE"):
            given[name] = _key_as_documented(tmp_path)
    load_settings({**REQUIRED, **given, **beside})


def _key_as_documented(folder: Path) -> str:
    """A private key, made by the command that the page names."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here")
    (command,) = re.findall(r"`(openssl [^`]+)`", OPERATING)
    *words, name = shlex.split(command)
    subprocess.run([*words, str(folder / name)], check=True, capture_output=True)
    return str(folder / name)


def test_the_export_of_the_example_is_made(empty_redis_url: str) -> None:
    (line,) = [text for _, text in BLOCKS if text.startswith("webui audit")]
    command, _, others = line.partition("#")
    words = shlex.split(command.partition(">")[0])[1:]
    for since in ([], *([option] for option in re.findall(r"--since (\w+)", others))):
        given = ["audit", "--since", *since, "--json"] if since else words
        environ = {**REQUIRED, "REDIS_URL": empty_redis_url}
        done = CliRunner().invoke(main, given, env=environ)
        assert done.exit_code == 0, done.output


def test_the_file_that_asks_is_right() -> None:
    (text,) = [block for block in code_blocks(OPERATING, "toml") if "[ask.team]" in block]
    (asked,) = read("acme", text).fields["ask"]
    assert asked.name == "team"


def gitea(environ: dict[str, str]) -> dict[str, Any]:
    settings = load_settings({**REQUIRED, **environ})
    provider = OAuthManager(KEY, EXAMPLE_URL, settings.providers_config).providers["gitea"]
    assert provider.is_configured
    return settings.providers_config["gitea"]


def test_the_provider_of_ones_own_is_the_same_in_the_environment_and_in_a_file(
    tmp_path: Path,
) -> None:
    (block,) = [b for b in code_blocks(OPERATING, "sh") if "EXTRA_PROVIDERS=gitea" in b]
    (toml,) = [b for b in code_blocks(OPERATING, "toml") if "extra_providers" in b]
    secret = tmp_path / "secret"
    secret.write_text("...\n")
    config = tmp_path / "webui.toml"
    config.write_text(toml.replace("/run/secrets/gitea", str(secret)))
    assert tomllib.loads(toml)["gitea"]["client_id"] == "..."
    assert gitea(environment(block)) == gitea({"WEBUI_CONFIG": str(config)})


def test_the_file_of_a_provider_is_the_same_again(tmp_path: Path) -> None:
    (toml,) = [b for b in code_blocks(OPERATING, "toml") if b.startswith('label = "Gitea"')]
    (block,) = [b for b in code_blocks(OPERATING, "sh") if "EXTRA_PROVIDERS=gitea" in b]
    (tmp_path / "gitea.toml").write_text(toml)
    client = {"GITEA_CLIENT_ID": "...", "GITEA_CLIENT_SECRET": "..."}
    told, expected = gitea({"PROVIDERS_DIR": str(tmp_path), **client}), gitea(environment(block))
    texts = {scope: said[0] for scope, said in told["scope_sentences"].items()}
    assert texts == expected["scope_texts"]
    named = expected.keys() - {"scope_texts"}
    assert {name: told[name] for name in named} == {name: expected[name] for name in named}


def test_what_the_bot_does_is_the_same_in_the_environment_and_in_a_file(tmp_path: Path) -> None:
    (block,) = [b for b in code_blocks(OPERATING, "sh") if "GOOGLE_FEATURES" in b]
    (toml,) = [b for b in code_blocks(OPERATING, "toml") if "google.features" in b]
    config = tmp_path / "webui.toml"
    config.write_text(toml)
    found = [
        load_settings({**REQUIRED, **environ}).providers_config
        for environ in (environment(block), {"WEBUI_CONFIG": str(config)})
    ]
    assert found[0] == found[1]
    assert set(found[0]["google"]["features"]) == {"meeting reminders", "greetings"}


@dataclass
class Caller:
    user_id: str
    redis: Redis


@pytest.fixture
def fake() -> FakeProvider:
    return fake_provider()


@pytest.fixture
async def restricted_url(redis: Redis, redis_url: str) -> AsyncIterator[str]:
    """The address for the user that the documents set up, made by their own command."""
    (line,) = re.findall(r"ACL SETUSER .*", OPERATING)
    await redis.execute_command(*line.replace("PASSWORD", "pass").split())  # type: ignore[no-untyped-call]
    yield f"{redis_url}?username=webui&password=pass"
    await redis.acl_deluser("webui")


def authorize_url(page: str) -> str:
    (url,) = re.findall(r'href="([^"]+)" rel="noreferrer"', page)
    return str(url).replace("&amp;", "&")


async def test_the_bot_of_the_readme_connects_a_person_and_uses_the_token(
    fake: FakeProvider, restricted_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it as the restricted user of Redis, through the real pages."""
    redis = connect(restricted_url)
    caller = Caller("alice", redis)
    with serve(fake) as provider_url:
        config = providers_config(fake, provider_url, ["github"])
        settings = Settings(
            base_url=SITE,
            redis_url=restricted_url,
            encryption_keys=(KEY,),
            session_secrets=(REQUIRED["SESSION_SECRET"],),
            providers_config=config,
        )

        monkeypatch.setenv("ENCRYPTION_KEY", KEY)
        monkeypatch.setenv("BASE_URL", SITE)
        config["github"]["api_hosts"] = (provider_url.removeprefix("http://"),)
        monkeypatch.setattr(plain_bot, "GITHUB_API", f"{provider_url}/github/account?")
        plain_bot.set_up(config)

        (link,) = re.findall(rf"{SITE}(/connect/\S+)", await plain_bot.whoami(caller))
        from_our_page = {"Sec-Fetch-Site": "same-origin"}
        with TestClient(create_app(settings), SITE, headers=from_our_page) as browser:
            proof = browser.post(f"{link}/start").text
            (code,) = re.findall(r'aria-hidden="true">(\w{3} \w{3})<', proof)
            assert "That matches." in await plain_bot.on_message(caller, code)
            handoff = browser.post("/connect/proof/continue").text
            done = browser.get(fake.authorize(authorize_url(handoff)))
            assert done.status_code == 200
        assert await plain_bot.on_message(caller, "whoami") == "You are mona."
        await get_oauth_manager().aclose()
    await redis.aclose()


async def test_the_loop_of_the_documents_hears_what_the_bot_is_to_say(
    fake: FakeProvider, restricted_url: str
) -> None:
    redis = connect(restricted_url)
    manager = oauth_manager.init_oauth_manager(KEY, SITE, providers_config(fake, names=["github"]))
    await manager.link_cancelled(redis, oauth_manager.LinkRequest("alice", "github"))
    (loop,) = [b for b in code_blocks(LIBRARY, "python") if RUN["the loop of a bot"].match(b)]
    heard: list[tuple[str, str]] = []

    class Enough(Exception):
        pass

    async def send_privately(user_id: str, text: str) -> None:
        heard.append((user_id, text))
        raise Enough

    names = {
        "get_oauth_manager": get_oauth_manager,
        "notice_text": chat.notice_text,
        "redis": redis,
        "send_privately": send_privately,
    }
    body = "".join(f"    {line}\n" for line in loop.splitlines())
    exec(f"async def listen():\n{body}", names)  # noqa: S102 - it is what is tested
    with pytest.raises(Enough):
        await names["listen"]()  # type: ignore[operator]
    assert heard == [("alice", words.text("notice.link_cancelled", name="github"))]
    await redis.aclose()


async def test_the_set_up_of_the_documents_needs_nothing_but_the_environment(
    restricted_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = "a set-up, in the next test"
    (block,) = [b for b in code_blocks(LIBRARY, "python") if RUN[kind].match(b)]
    given = {"BASE_URL": SITE, "ENCRYPTION_KEY": KEY, "REDIS_URL": restricted_url}
    client = {"GITHUB_CLIENT_ID": "id", "GITHUB_CLIENT_SECRET": "a-secret"}
    for name, value in {**given, **client}.items():
        monkeypatch.setenv(name, value)
    names = {
        "Caller": Caller,
        "connections_from_environment": connections_from_environment,
        "require_oauth_token": oauth_manager.require_oauth_token,
    }
    body = "".join(f"    {line}\n" for line in block.splitlines())
    exec(f"async def ask():\n{body}", names)  # noqa: S102
    with pytest.raises(oauth_manager.OAuthNotConnected):
        await names["ask"]()  # type: ignore[operator]


async def test_the_client_of_the_documents_carries_a_token(
    fake: FakeProvider, restricted_url: str
) -> None:
    redis = connect(restricted_url)
    (block,) = [b for b in code_blocks(LIBRARY, "python") if RUN["a client"].match(b)]
    with serve(fake) as provider_url:
        config = providers_config(fake, provider_url, ["github"])
        config["github"]["api_hosts"] = (provider_url.removeprefix("http://"),)
        manager = oauth_manager.init_oauth_manager(KEY, SITE, config)
        access = fake.grant("/github")["access_token"]
        stored = TokenData(access, "", 0.0, ["read:user"], provider="github")
        await manager.store_token(redis, "alice", stored)
        names = {"oauth_client": oauth_manager.oauth_client, "ctx": Caller("alice", redis)}
        here = block.replace("https://api.github.com/user", f"{provider_url}/github/account")
        body = "".join(f"    {line}\n" for line in here.splitlines())
        exec(f"async def ask():\n{body}    return answer", names)  # noqa: S102
        answer = await names["ask"]()  # type: ignore[operator]
        assert answer.json()["login"] == "mona"
        await manager.aclose()
    await redis.aclose()


async def test_the_renewal_of_the_documents_brings_another_token(
    fake: FakeProvider, restricted_url: str
) -> None:
    redis = connect(restricted_url)
    (renewal,) = [b for b in code_blocks(LIBRARY, "python") if RUN["a renewal"].match(b)]
    with serve(fake) as provider_url:
        manager = OAuthManager(KEY, SITE, providers_config(fake, provider_url, ["github"]))
        granted = fake.grant("/github")
        token, more = granted["access_token"], granted["refresh_token"]
        stored = TokenData(token, more, 4e9, provider="github")
        await manager.store_token(redis, "alice", stored)
        names = {"manager": manager, "redis": redis, "user_id": "alice", "token": token}
        exec(f"async def renew():\n    {renewal}    return fresh", names)  # noqa: S102
        fresh = await names["renew"]()
        assert fresh not in (None, token)
        await manager.aclose()
    await redis.aclose()


async def test_the_commands_of_an_operator_work_for_the_restricted_user(
    fake: FakeProvider, restricted_url: str
) -> None:
    redis = connect(restricted_url)
    manager = OAuthManager(KEY, SITE, providers_config(fake, names=["github"]))
    await manager.store_token(redis, "alice", TokenData("no-token", provider="github"))
    assert await redis.acl_whoami() in ("webui", b"webui")
    assert await manager.reseal(redis) == Rotation(0, 0, {}, new=1)
    assert await redis.info("server")
    assert await redis.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    await redis.aclose()


def test_a_setting_that_is_said_to_do_nothing_does_nothing() -> None:
    """Whoever makes it work takes that sentence back."""
    idle = re.findall(r"`([A-Z_]+)` is read and checked, and does nothing yet", README)
    sources = [path for path in (ROOT / "webui").rglob("*.py") if path.stem[:7] != "setting"]
    used = [name for name in idle for p in sources if f".{name.lower()}" in p.read_text()]
    assert used == []
    assert set(idle) <= {setting.name for setting in SETTINGS}
