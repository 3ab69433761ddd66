"""The catalogue: files of providers, their faults with lines, and every file that ships."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.kit.every import every
from webui.oauth_manager import OAuthManager, OAuthProvider
from webui.oauth_manager.providers import (
    SCHEMA,
    FaultyFile,
    build_providers,
    entry,
    names,
    nearest,
    read,
)
from webui.oauth_manager.providers.schema import FACTS, OTHER_NAMES

CLIENT = {"client_id": "an-id", "client_secret": "a-secret"}
GOOD = """\
label = "Acme"
authorize_url = "https://acme.example/authorize"
token_url = "https://acme.example/token"

[scopes]
"read" = { can = "read your notes", group = "Sees", default = true }
"write" = { can = "write notes in your name", group = "Acts", precisely = "write, not delete" }
"""


def faults(text: str) -> list[str]:
    with pytest.raises(FaultyFile) as caught:
        read("acme", text)
    return [str(fault) for fault in caught.value.faults]


def configured(name: str) -> OAuthProvider:
    found = entry(name)
    assert found
    own = {"host": "own.example"} if "{host}" in found.fields["token_url"] else {}
    return build_providers({}, {name: {**CLIENT, **own}})[name]


class TestAFile:
    def test_it_gives_the_fields_of_a_provider(self) -> None:
        fields = read("acme", GOOD).fields
        assert fields["scopes"] == ["read"]
        assert fields["scope_sentences"] == {
            "read": ("read your notes", "Sees"),
            "write": ("write notes in your name", "Acts", "write, not delete"),
        }
        assert OAuthProvider("acme", **fields).label == "Acme"

    @every(
        ("line", "told"),
        [
            ("labell = 'x'", "line 8: labell is no field of a provider's file; label is"),
            ("client_secret = 'canary'", "line 8: client_secret is no field"),
            ("pkce = 3", "line 8: pkce must be on or off"),
            ("revoke_auth = 'canary'", "line 8: revoke_auth must be one of: client, post"),
            ("revoke_url = 'http://canary.example'", "line 8: revoke_url must be an https address"),
            ("domains = ['vendor.example']", "line 2: authorize_url is on none of the domains"),
            ("checked = '2026-11-27'", "line 8: checked must be a date"),
            ("keep = ['refresh_token']", "line 8: keep must name no token"),
            ("unconfirmed = ['canary']", "line 8: unconfirmed names what is no field"),
            ("headers = { Authorization = 'canary' }", "line 8: headers names a header field"),
            ("authorize_params = { state = 'canary' }", "line 8: authorize_params names a param"),
            ("token_header = 'canary'", "line 8: token_header must look like"),
            ("lifetime = 'canary'", "line 8: lifetime must be seconds, or never"),
            ("revoke_client_fields = ['canary']", "line 8: revoke_client_fields must be the names"),
            ("idle_limit = nan", "line 8: idle_limit must be a time"),
            ("idle_limit = -5", "line 8: idle_limit must be a time"),
            ("account_url = 'https://{host}/canary'", "line 8: account_url has a place for {host}"),
            ("purpose = 'Lets {canary} see'", "line 8: purpose may have {bot} in it"),
            ("register = ['Open {canary}']", "line 8: register may have {callback} in it"),
            ("authorize_params = { client_secret = 'canary' }", "line 8: authorize_params names"),
            ("contains = { all = 3 }", "line 8: contains must give a list of scopes for each"),
            ("label = 'again'", "line 8: is not TOML"),
            ("= 3", "line 8: is not TOML"),
        ],
    )
    def test_a_fault_is_named_with_its_line_and_without_the_value(
        self, line: str, told: str
    ) -> None:
        head, scopes = GOOD.split("\n[scopes]")
        found = faults(f"{head}\n\n\n\n{line}\n[scopes]{scopes}")
        assert [one for one in found if one.startswith(told)], found
        assert "canary" not in str(found)

    @every(
        ("row", "told"),
        [
            ("{ can = 'read, but not write', group = 'Sees' }", "as true after"),
            ("{ can = 'Read notes', group = 'Sees' }", "completes"),
            ("{ can = 'read notes.', group = 'Sees' }", "completes"),
            ("{ can = 'read notes', group = 'Other' }", "must have a group"),
            ("{ can = 'read notes' }", "must have a group"),
            ("{ group = 'Sees' }", "must say what it allows"),
            ("{ can = 'read notes', group = 'Sees', more = 1 }", "nothing else"),
            ("'read notes'", "nothing else"),
            ("{ can = 'read {canary} notes', group = 'Sees' }", "no other place"),
            ("{ can = 'read notes', group = 'Sees', default = 'yes' }", "without marks"),
        ],
    )
    def test_a_fault_of_a_scope_is_named_with_its_line(self, row: str, told: str) -> None:
        (found,) = faults(f'{GOOD}"all" = {row}\n')
        assert found.startswith("line 8: a scope ")
        assert told in found

    def test_every_fault_of_a_scope_is_named_on_its_own_line(self) -> None:
        found = faults(GOOD + "\n[scopes.all]\ncan = 'Read'\ngroup = 'sees'\ndefault = 'yes'\n")
        assert [one.split(": ")[0] for one in found] == ["line 10", "line 11", "line 12"]

    def test_a_field_that_stands_below_a_heading_is_sent_above_it(self) -> None:
        ask = (
            "[ask.shop]\nlabel = 'Your shop'\nchoices = { a = 'A' }\nissuer = 'https://a.example'\n"
        )
        words = "[words]\ngone = 'over'\nmanage_url = 'https://acme.example/apps'\n"
        contains = "[contains]\n'write' = ['read']\npurpose = 'Lets {bot} see.'\n"
        found = faults(f"{GOOD}pkce = false\n{ask}{words}{contains}")
        assert found == [
            "line 8: pkce belongs above [scopes], with the other fields",
            "line 12: issuer belongs above [ask.shop], with the other fields",
            "line 15: manage_url belongs above [words], with the other fields",
            "line 18: purpose belongs above [contains], with the other fields",
        ]

    def test_what_has_sunk_is_not_called_missing(self) -> None:
        found = faults(GOOD.replace("[scopes]\n", "").replace("label", "[scopes]\nlabel"))
        assert not [one for one in found if "missing" in one], found

    def test_a_pattern_that_may_take_for_ever_is_refused_before_it_is_tried(self) -> None:
        ask = f"[ask.shop]\nlabel = 'x'\npattern = '(a+)+b'\nexample = '{'a' * 60}'\n"
        assert any("repeats what is in ( )" in one for one in faults(GOOD + ask))

    def test_a_byte_order_mark_is_passed_over(self) -> None:
        assert read("acme", f"\ufeff{GOOD}").fields["label"] == "Acme"

    def test_every_fault_is_named_at_once(self) -> None:
        found = faults("pkce = 1\n\ntoken_url = 'x'\nother = 2\n")
        assert [one.split(":")[0] for one in found] == ["line 1", "line 1", "line 3", "line 4"]
        assert "authorize_url is missing" in found[0]


class TestEveryFile:
    @every("name", names())
    def test_it_is_without_fault_and_says_where_it_is_from(self, name: str) -> None:
        found = entry(name)
        assert found
        assert "{callback}" in str(found.facts["register"])
        assert found.facts["source"]
        assert date.fromisoformat(found.facts["checked"]) >= date(2026, 11, 1)
        assert found.facts["homepage"]
        assert found.fields["label"]
        assert found.fields["purpose"].startswith("Lets {bot} ")

    @every("name", names())
    def test_every_scope_that_is_asked_for_has_words(self, name: str) -> None:
        provider = configured(name)
        assert set(provider.scopes) <= provider.scope_sentences.keys()
        for scope, inner in provider.scope_contains.items():
            assert scope not in inner

    @every("name", names())
    def test_its_endpoints_are_https_on_the_domains_of_the_vendor(self, name: str) -> None:
        found, provider = entry(name), configured(name)
        assert found
        if "{host}" not in found.fields["token_url"]:
            assert found.facts["domains"]
        for key in ("authorize_url", "token_url", "account_url", "revoke_url", "refresh_url"):
            assert urlsplit(getattr(provider, key)).scheme in ("https", "")

    @every("name", names())
    def test_access_can_be_removed_here_or_there(self, name: str) -> None:
        provider = configured(name)
        assert provider.can_revoke or provider.manage_url or name == "snowflake"

    def test_there_are_forty(self) -> None:
        assert len(names()) >= 40

    def test_fields_of_the_schema_are_those_of_a_provider(self) -> None:
        of_files = {"contains", "words", "revoke_style"} | FACTS
        known = set(OAuthProvider.__dataclass_fields__)
        assert {OTHER_NAMES.get(row.name, row.name) for row in SCHEMA} - known <= of_files


class TestByName:
    def test_an_id_and_a_secret_are_enough_for_a_bot_too(self) -> None:
        manager = OAuthManager("", "https://bot.example", {"notion": CLIENT})
        assert manager.list_configured_providers() == ["notion"]
        assert manager.providers["notion"].headers == {"Notion-Version": "2025-09-03"}

    def test_a_name_that_is_not_there_is_refused_with_the_nearest(self) -> None:
        with pytest.raises(ValueError, match="the catalogue has: notion"):
            OAuthManager("", "https://bot.example", {"notoin": CLIENT})
        assert nearest("zzzz") == []

    @every(
        ("given", "told"),
        [
            ({"client_auth": "canary"}, "token_auth must be one of"),
            ({"headers": {"Cookie": "canary"}}, "headers names a header field"),
            ({"keep": ["access_token"]}, "keep must name no token"),
            ({"account_body": "{canary"}, "account_body must be JSON"),
            ({"api_hosts": ["https://canary.example"]}, "api_hosts must be hosts"),
            ({"host": "canary host"}, "host "),
        ],
    )
    def test_a_fault_in_its_configuration_is_named_without_the_value(
        self, given: dict[str, Any], told: str
    ) -> None:
        with pytest.raises(ValueError, match=told) as caught:
            OAuthManager("", "https://bot.example", {"slack": {**CLIENT, **given}})
        assert "canary" not in str(caught.value)
