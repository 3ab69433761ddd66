"""An app whose installation has the permissions, on its card and in chat."""

from __future__ import annotations

from webui.cards import Screen, make_card
from webui.chat.phrases import standing
from webui.oauth_manager import PROVIDER_TEMPLATES, OAuthProvider, TokenData
from webui.oauth_manager.connection import describe
from webui.oauth_manager.models import Account, Connection, Profile
from webui.oauth_manager.values import replace

NOW = 1_800_000_000.0
INSTALL = "https://github.com/apps/stella/installations/new"
APP = OAuthProvider(
    "github",
    **PROVIDER_TEMPLATES["github"],
    client_id="Iv23abc",
    client_secret="secret",
    install_url=INSTALL,
)
SCREEN = Screen("Stargazer", "Stella", NOW, "list")


def connection(*permissions: str, provider: OAuthProvider = APP) -> Connection:
    token = TokenData("a", "r", NOW + 3600, list(permissions), provider="github")
    profile = Profile(Account("1", "mona"), connected_at=NOW - 60)
    return describe(provider, token, profile, NOW)


def test_a_card_says_where_to_install_what_is_installed_nowhere() -> None:
    card = make_card(APP, connection(), None, SCREEN)
    assert (card.state, card.tag, card.form) == ("connected", "Connected", "row")
    assert card.about is not None
    assert card.about.title == "GitHub is connected. Stella is not installed there yet."
    assert card.about.link is not None
    assert card.about.link.url == INSTALL
    assert card.status is not None
    assert card.status.text == card.about.title


def test_a_card_leads_to_the_installation_to_change_what_is_allowed() -> None:
    card = make_card(APP, connection("contents:write", "metadata:read"), None, SCREEN)
    assert card.about is None
    (action,) = [each for each in card.every_action if each.id == "conn-github-install"]
    assert (action.label, action.method, action.url) == (
        "Choose what Stella may do",
        "get",
        INSTALL,
    )
    assert card.permissions is not None
    said = [sentence for group in card.permissions.groups for sentence in group.sentences]
    assert said == [
        "see the names of the repositories you chose",
        "change the code of the repositories you chose",
    ]


def test_a_feature_that_lacks_a_permission_leads_there_and_not_to_another_authorization() -> None:
    with_feature = replace(APP, features={"reviews": ("pull_requests:write",)})
    card = make_card(with_feature, connection("contents:read", provider=with_feature), None, SCREEN)
    assert card.state == "limited"
    ids = {action.id.removeprefix("conn-github-") for action in card.every_action}
    assert "install" in ids
    assert "allow" not in ids


def test_without_the_address_the_card_says_what_is_missing_all_the_same() -> None:
    unnamed = replace(APP, install_url="")
    card = make_card(unnamed, connection(provider=unnamed), None, SCREEN)
    assert card.about is not None
    assert card.about.link is None
    assert not [each for each in card.every_action if each.id == "conn-github-install"]


def test_in_chat_it_says_where_to_install_it() -> None:
    assert standing(APP, connection()) == (
        "GitHub: connected as mona. It is not installed there yet (send manage to see where)."
    )


def test_an_oauth_app_is_none() -> None:
    plain = replace(APP, client_id="Ov23abc", install_url="")
    assert not plain.is_app
    token = TokenData("a", "", 0.0, [], provider="github")
    asked = Profile(Account("1", "mona"), connected_at=NOW, requested_scopes=("read:user",))
    card = make_card(plain, describe(plain, token, asked, NOW), None, SCREEN)
    assert card.state == "limited"
