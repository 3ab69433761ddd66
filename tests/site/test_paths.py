"""Addresses of the site's own pages: where a person may be sent, and where a card is."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

from hypothesis import given
from hypothesis import strategies as st

from tests.kit.every import every
from tests.kit.hostile_paths import ELSEWHERE
from webui.paths import HOME, SUPPORT, card_address, hides_address, is_callback, safe_next

ORIGIN = "https://connect.test"

LANDINGS = [
    "/connections",
    "/connections/github",
    "/connections/git-lab_2",
    "/connections/github/disconnect",
    "/oauth/github/authorize",
    "/activity",
    "/support",
    "/support/people/ann",
    "/support/people/412345678901234567",
    "/support/people/ann.smith+1@example.org",
]
# A person whose id has other characters is looked up again.
SUPPORT_PAGES = [
    "/support/people/",
    "/support/people/.",
    "/support/people/..",
    "/support/people/...",
    "/support/people/../../evil",
    "/support/people//evil.test",
    "/support/people/a/preview",
    "/support/people/a/../../..//evil.test",
    "/support/people/a..b",
    "/support/people/a.",
    "/support/people/%2e%2e",
    "/support/people/a%2fb",
    "/support/people/a\\b",
    "/support/people/a\n",
    "/support/people/a b",
    "/support/people/@evil.test",
    "/support/people/Zo\u00eb",
    "/support/people/a?next=//evil.test",
    "/support/people/a#b",
    "/support/people/" + "a" * 300,
]


class TestTheWayBack:
    @every("path", LANDINGS)
    def test_leads_to_pages_that_are_listed(self, path: str) -> None:
        assert safe_next(path) == path

    @every("path", SUPPORT_PAGES)
    def test_leads_support_to_its_first_page_where_an_address_is_not_plain(self, path: str) -> None:
        assert safe_next(path) == SUPPORT

    @every("path", ELSEWHERE)
    def test_leads_home_from_anywhere_else(self, path: str | None) -> None:
        assert safe_next(path) == HOME

    @given(
        st.one_of(
            st.text(),
            st.lists(st.sampled_from([*"/\\.%?#@:\t\r\n\x00 aZ", "//", "%2f", "%5c"])).map("".join),
            st.tuples(st.sampled_from(LANDINGS), st.text(max_size=5)).map("".join),
        )
    )
    def test_never_leaves_this_site(self, path: str) -> None:
        found = safe_next(path)
        parts = urlsplit(urljoin(ORIGIN + "/signin", found))
        assert f"{parts.scheme}://{parts.netloc}" == ORIGIN
        assert re.fullmatch(r"(/[a-z][a-z0-9_-]*)+|/support/people/[A-Za-z0-9][\w@=+~.-]*", found)
        assert not re.search(r"//|/\.|\.\.|\.$", found)
        assert found in (path, HOME, SUPPORT)


class TestACallback:
    @every(
        "path",
        [
            "/oauth/github/callback",
            "/signin/sso/callback",
            "/oauth/github/callback/",
            "/oauth/github/callback//x",
        ],
    )
    def test_is_known_by_its_address_though_a_slash_be_too_many(self, path: str) -> None:
        assert is_callback(path)

    @every("path", ["/connections", "/oauth/github/authorize", "/signin/sso", "/x/oauth/a"])
    def test_is_no_other_page(self, path: str) -> None:
        assert not is_callback(path)


class TestAnAddressWithACode:
    @every("path", [f"/connect/{'u' * 43}", "/connect/x", "/oauth/github/callback"])
    def test_is_kept_out_of_every_referer(self, path: str) -> None:
        assert hides_address(path)

    @every("path", ["/connections", "/connections/github", "/connect/done/github", "/signin"])
    def test_is_no_other_address(self, path: str) -> None:
        assert not hides_address(path)


class TestACard:
    def test_is_on_the_list_or_on_its_own_page(self) -> None:
        assert card_address("list", "github") == "/connections#conn-github-t"
        assert card_address("detail", "github", "n") == "/connections/github#conn-github-n"
