"""Settings: what is read from where, and that every fault is told at once, without values."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.kit.every import every
from tests.kit.logos import DRAWING, plain_png, svg
from webui.commands.check import run_checkup
from webui.oauth_manager.providers import PROVIDER_TEMPLATES, build_providers
from webui.settings.settings import Settings, SettingsError, load_settings
from webui.settings.sources import survey
from webui.settings.table import PROVIDER_SETTINGS, SETTINGS, all_settings

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()
OLD_KEY = base64.urlsafe_b64encode(bytes(range(100, 132))).decode()
SECRET = "kX9wq2-mTzR7_pL4vB8nC1yH6jD3fG5s"
OTHER_SECRET = "another-secret-of-the-tests-0123456789"
GOOD = {
    "BASE_URL": "https://connect.test",
    "REDIS_URL": "redis://redis.test:6379/0",
    "ENCRYPTION_KEY": KEY,
    "SESSION_SECRET": SECRET,
}


SIGN_ON = {
    "OIDC_ISSUER": "https://login.test/realms/staff",
    "OIDC_CLIENT_ID": "webui",
    "SUPPORT_GROUP": "helpdesk",
}
PROXY = {"TRUSTED_PROXIES": "10.0.0.1", "PROXY_USER_HEADER": "X-Forwarded-User"}


def settings(**more: str) -> Settings:
    return load_settings(GOOD | more)


ACME = {
    "EXTRA_PROVIDERS": "acme",
    "ACME_AUTHORIZE_URL": "https://{shop}.acme.example/authorize",
    "ACME_TOKEN_URL": "https://{shop}.acme.example/token",
}
TEAM_URL = "https://{team}.acme.example/revoke"


WIKI = """label = "Wiki"
logo = "wiki.svg"
authorize_url = "https://wiki.example/authorize"
token_url = "https://wiki.example/token"

[scopes]
"""


def faults(**more: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        settings(**more)
    assert str(caught.value) == "\n".join(caught.value.faults)
    return caught.value.faults


def fault(**more: str) -> str:
    (only,) = faults(**more)
    return only


class TestWhatIsRead:
    def test_the_four_required_settings_are_enough(self) -> None:
        found = settings()
        assert found.base_url == "https://connect.test"
        assert found.host == "connect.test"
        assert found.is_secure
        assert found.encryption_keys == (KEY,)
        assert found.session_secrets == (SECRET,)
        assert found.product_name == found.bot_name == "Stargazer"
        assert found.support_users == frozenset()
        assert found.trusted_proxies == ()
        assert found.link_proof == "code"
        assert found.log_level == "info"
        assert found.strict_records is False
        assert found.providers_config == {}

    def test_every_other_setting_is_taken(self) -> None:
        found = settings(
            PRODUCT_NAME="Comet",
            BOT_NAME="Comet Bot",
            SUPPORT_USERS="ann, bob the second ,",
            TRUSTED_PROXIES="127.0.0.1, 10.0.0.0/8 ::1",
            LINK_PROOF="Confirm",
            LOG_LEVEL="DEBUG",
            STRICT_RECORDS="yes",
        )
        assert (found.product_name, found.bot_name) == ("Comet", "Comet Bot")
        assert found.support_users == {"ann", "bob the second"}
        assert found.trusted_proxies == ("127.0.0.1", "10.0.0.0/8", "::1")
        assert (found.link_proof, found.log_level) == ("confirm", "debug")
        assert found.strict_records is True

    def test_the_bot_is_called_as_the_product_unless_it_has_a_name(self) -> None:
        assert settings(PRODUCT_NAME="Comet").bot_name == "Comet"

    def test_a_colour_and_a_logo_are_read_once_at_the_start(self, tmp_path: Path) -> None:
        logo = tmp_path / "logo.svg"
        logo.write_text(DRAWING)
        found = settings(PRODUCT_COLOUR="#5b2a86", PRODUCT_LOGO=str(logo))
        logo.unlink()
        assert found.product_colour == "#5B2A86"
        assert found.product_logo is not None
        assert found.product_logo.body.startswith(b"<svg ")
        assert str(tmp_path) not in repr(found)
        assert (settings().product_colour, settings().product_logo) == ("", None)

    def test_providers_have_logos_by_settings_and_by_their_files(self, tmp_path: Path) -> None:
        (tmp_path / "acme.svg").write_text(DRAWING)
        (tmp_path / "wiki.svg").write_text(DRAWING)
        (tmp_path / "wiki.toml").write_text(WIKI)
        in_files = settings(PROVIDERS_DIR=str(tmp_path))
        assert list(in_files.provider_logos) == ["wiki"]
        picture = tmp_path / "picture"
        picture.write_bytes(plain_png())
        given = {"WIKI_LOGO": str(picture), "GITHUB_LOGO": str(picture)}
        both = settings(PROVIDERS_DIR=str(tmp_path), **given)
        kinds = {name: one.kind for name, one in both.provider_logos.items()}
        assert kinds == {"wiki": "png", "github": "png"}
        build_providers(PROVIDER_TEMPLATES, both.providers_config)

    @every(
        ("named", "told"),
        [
            ("none.svg", "logo names no file"),
            ("../wiki.svg", "logo must name a file in the same folder"),
            ("wiki.toml", "logo names a file that is neither an SVG nor a PNG"),
            ("hostile.svg", "logo names an SVG with <script>"),
        ],
    )
    def test_a_logo_that_will_not_do_is_a_fault_of_its_line(
        self, tmp_path: Path, named: str, told: str
    ) -> None:
        (tmp_path / "hostile.svg").write_bytes(svg("<script/>"))
        (tmp_path / "wiki.toml").write_text(WIKI.replace("wiki.svg", named))
        assert f"PROVIDERS_DIR: wiki.toml, line 2: {told}" in fault(PROVIDERS_DIR=str(tmp_path))

    def test_several_keys_and_secrets_keep_their_order_newest_first(self) -> None:
        other = SECRET[::-1]
        found = settings(ENCRYPTION_KEY=f" {KEY},\n{OLD_KEY}\n", SESSION_SECRET=f"{SECRET} {other}")
        assert found.encryption_keys == (KEY, OLD_KEY)
        assert found.session_secrets == (SECRET, other)

    @every(
        ("given_url", "base_url", "host"),
        [
            ("https://Connect.Test/", "https://connect.test", "connect.test"),
            ("https://connect.test:443", "https://connect.test", "connect.test"),
            ("https://connect.test:8443", "https://connect.test:8443", "connect.test:8443"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000", "127.0.0.1:8000"),
            ("http://localhost:80/", "http://localhost", "localhost"),
            ("http://[::1]:8000", "http://[::1]:8000", "[::1]:8000"),
            ("http://[0:0::1]", "http://[::1]", "[::1]"),
        ],
    )
    def test_base_url_is_written_as_a_browser_writes_it(
        self, given_url: str, base_url: str, host: str
    ) -> None:
        found = settings(BASE_URL=given_url)
        assert (found.base_url, found.host) == (base_url, host)

    @every(
        "url",
        [
            "redis://localhost",
            "redis://:p%40ss@redis.test:6380/2",
            "rediss://user:pass@redis.test/0?ssl_ca_certs=/etc/ca.pem",
            "unix:///run/redis.sock?db=1",
        ],
    )
    def test_usual_redis_addresses_are_taken(self, url: str) -> None:
        assert settings(REDIS_URL=url).redis_url == url

    def test_what_is_blank_counts_as_not_given(self) -> None:
        assert settings(PRODUCT_NAME="  ", GITHUB_CLIENT_ID="").providers_config == {}


class TestProviders:
    def test_only_what_was_given_is_passed_on(self) -> None:
        found = settings(GITHUB_CLIENT_ID="id", GITHUB_CLIENT_SECRET="hush", DISCORD_SCOPES="a,b c")
        assert found.providers_config == {
            "discord": {"scopes": ["a", "b", "c"]},
            "github": {"client_id": "id", "client_secret": "hush"},
        }

    def test_a_provider_of_ones_own_takes_every_field_and_the_library_takes_it(self) -> None:
        found = settings(
            EXTRA_PROVIDERS="git-lab",
            GIT_LAB_CLIENT_ID="id",
            GIT_LAB_CLIENT_SECRET="hush",
            GIT_LAB_SCOPES="read_user api",
            GIT_LAB_AUTHORIZE_URL="https://git.test/authorize",
            GIT_LAB_TOKEN_URL="https://git.test/token",
            GIT_LAB_REVOKE_URL="https://git.test/revoke/{client_id}",
            GIT_LAB_PAR_URL="https://git.test/par",
            GIT_LAB_RESOURCE="https://mcp.git.test/mcp",
            GIT_LAB_ACCOUNT_URL="https://git.test/me",
            GIT_LAB_ISSUER="https://git.test",
            GIT_LAB_ISS_REQUIRED="off",
            GIT_LAB_PKCE="off",
            GIT_LAB_PURPOSE="Lets {bot} watch your pipelines.",
            GIT_LAB_GONE="BAD_TOKEN, Invalid refresh token, 400",
            GIT_LAB_SCOPE_TEXTS="read_user=see your name; api=do all you can: a=b",
            GIT_LAB_LABEL="GitLab",
            GIT_LAB_HOST="git.test/group",
            GIT_LAB_ASK="{}",
            GIT_LAB_SCOPE_SEPARATOR="comma",
            GIT_LAB_TOKEN_AUTH="basic",
            GIT_LAB_REVOKE_STYLE="bare",
            GIT_LAB_ACCOUNT_ID_FIELD="user.id",
            GIT_LAB_ACCOUNT_LABEL_FIELD="user.name",
            GIT_LAB_ACCOUNT_HANDLE_FIELD="user.username",
            GIT_LAB_MANAGE_URL="https://git.test/apps",
            GIT_LAB_EXTRA_AUTH_PARAMS="prompt=consent&x=",
            GIT_LAB_REFRESH_URL="https://git.test/renew",
            GIT_LAB_CLIENT_AUTH="none",
            GIT_LAB_CLIENT_ID_NAME="client_key",
            GIT_LAB_TOKEN_BODY="json",
            GIT_LAB_AUTHORIZE_PARAMS="prompt=login&y=1",
            GIT_LAB_TOKEN_PARAMS="expiring=1",
            GIT_LAB_HEADERS="Git-Version: 2026-01; User-Agent: web:{client_id}:1",
            GIT_LAB_TOKEN_PATH="authed_user",
            GIT_LAB_TOKEN_TYPES="user bot",
            GIT_LAB_LIFETIME="7200",
            GIT_LAB_REFRESH="none",
            GIT_LAB_TOKEN_HEADER="X-Token: {access_token}",
            GIT_LAB_ACCOUNT_METHOD="post",
            GIT_LAB_ACCOUNT_BODY="null",
            GIT_LAB_REVOKE_METHOD="DELETE",
            GIT_LAB_REVOKE_AUTH="token",
            GIT_LAB_REVOKE_BODY="query",
            GIT_LAB_REVOKE_TOKEN="access",
            GIT_LAB_REVOKE_FIELD="access_token",
            GIT_LAB_REVOKE_CLIENT_FIELDS="clientId clientSecret",
            GIT_LAB_KEEP="team.id, instance_url",
            GIT_LAB_API_HOSTS="api.git.test",
            GIT_LAB_FEATURES="issue updates: api; greetings: read_user",
            GIT_LAB_IDLE_LIMIT="30d",
            GIT_LAB_MAX_ACCOUNTS="3",
        )
        known = {setting.name.lower() for setting in PROVIDER_SETTINGS}
        # A key takes the place of the secret, and an app's installation that of scopes.
        others = {"client_key", "install_url", "logo", "permissions_url"}
        assert found.providers_config["git-lab"].keys() == known - others
        provider = build_providers(PROVIDER_TEMPLATES, found.providers_config)["git-lab"]
        assert provider.is_configured
        assert provider.label == "GitLab"
        assert provider.scope_separator == ","
        assert provider.scopes == ["read_user", "api"]
        assert provider.extra_auth_params == {"prompt": "login", "y": "1"}
        assert provider.token_auth == "none"
        assert provider.headers == {"Git-Version": "2026-01", "User-Agent": "web:{client_id}:1"}
        assert (provider.lifetime, provider.keep) == (7200, ("team.id", "instance_url"))
        assert (provider.account_method, provider.account_body) == ("POST", "null")
        assert (provider.iss_required, provider.pkce) == (False, False)
        assert provider.purpose == "Lets {bot} watch your pipelines."
        assert provider.gone == ("BAD_TOKEN", "Invalid refresh token", "400")
        assert provider.scope_texts == {
            "read_user": "see your name",
            "api": "do all you can: a=b",
        }
        assert provider.idle_limit == 30 * 86_400
        assert provider.max_accounts == 3
        assert provider.features == {"issue updates": ("api",), "greetings": ("read_user",)}

    def test_a_tenant_sets_both_endpoints_of_microsoft(self) -> None:
        found = settings(MICROSOFT_TENANT="contoso.test").providers_config["microsoft"]
        assert set(found) == {"authorize_url", "token_url"}
        for url in found.values():
            assert url.startswith("https://login.microsoftonline.com/contoso.test/oauth2/v2.0/")

    def test_an_endpoint_that_was_given_is_not_replaced_by_the_tenants(self) -> None:
        found = settings(
            MICROSOFT_TENANT="contoso.test",
            MICROSOFT_AUTHORIZE_URL="https://a.test/a",
            MICROSOFT_TOKEN_URL="https://a.test/t",
        )
        assert found.providers_config["microsoft"]["token_url"] == "https://a.test/t"

    def test_loopback_endpoints_are_taken_while_the_site_is_on_loopback(self) -> None:
        urls = {
            "GITHUB_AUTHORIZE_URL": "http://127.0.0.1:9000/a",
            "GITHUB_TOKEN_URL": "http://localhost:9000/t",
            "GITHUB_ISSUER": "http://[::1]:9000",
        }
        found = settings(BASE_URL="http://localhost:8000", **urls)
        assert list(found.providers_config["github"].values()) == list(urls.values())

    def test_loopback_endpoints_are_refused_elsewhere(self) -> None:
        told = faults(
            GITHUB_AUTHORIZE_URL="https://github.com/a",
            GITHUB_TOKEN_URL="http://127.0.0.1:9000/t",
            GITHUB_ISSUER="http://localhost:9000",
        )
        assert [sentence.split()[0] for sentence in told] == ["GITHUB_TOKEN_URL", "GITHUB_ISSUER"]
        assert all("BASE_URL is not on this machine" in sentence for sentence in told)

    def test_a_client_id_without_secret_and_the_reverse_are_faults(self) -> None:
        assert fault(GITHUB_CLIENT_ID="id").startswith("GITHUB_CLIENT_SECRET is missing")
        assert fault(DISCORD_CLIENT_SECRET="hush").startswith("DISCORD_CLIENT_ID is missing")

    def test_a_provider_of_ones_own_needs_both_endpoints(self) -> None:
        assert [sentence.split()[0] for sentence in faults(EXTRA_PROVIDERS="forge")] == [
            "FORGE_AUTHORIZE_URL",
            "FORGE_TOKEN_URL",
        ]

    def test_a_name_that_the_catalogue_lacks_is_refused_with_the_nearest_ones(self) -> None:
        told = faults(EXTRA_PROVIDERS="slak")
        assert [sentence.split()[0] for sentence in told] == [
            "SLAK_AUTHORIZE_URL",
            "SLAK_TOKEN_URL",
        ]
        assert all("it has slack" in sentence for sentence in told)

    def test_a_provider_of_the_catalogue_takes_an_id_and_a_secret_and_nothing_else(self) -> None:
        client = {"SLACK_CLIENT_ID": "id", "SLACK_CLIENT_SECRET": "hush"}
        found = settings(EXTRA_PROVIDERS="slack", **client)
        assert found.providers_config == {"slack": {"client_id": "id", "client_secret": "hush"}}
        provider = build_providers(PROVIDER_TEMPLATES, found.providers_config)["slack"]
        assert provider.is_configured
        assert provider.token_url == "https://slack.com/api/oauth.v2.user.access"
        assert provider.scopes
        assert set(provider.scopes) <= provider.scope_sentences.keys()

    def test_the_environment_overrides_single_values_of_the_catalogue(self) -> None:
        found = settings(EXTRA_PROVIDERS="slack", SLACK_SCOPES="chat:write", SLACK_LABEL="Chat")
        provider = build_providers(PROVIDER_TEMPLATES, found.providers_config)["slack"]
        assert (provider.scopes, provider.label) == (["chat:write"], "Chat")
        assert provider.scope_separator == ","
        assert not provider.is_configured

    def test_endpoints_that_move_keep_every_other_value_of_the_catalogue(self) -> None:
        found = settings(
            EXTRA_PROVIDERS="slack",
            SLACK_AUTHORIZE_URL="https://slack.test/a",
            SLACK_TOKEN_URL="https://slack.test/t",
        )
        provider = build_providers(PROVIDER_TEMPLATES, found.providers_config)["slack"]
        assert (provider.token_path, provider.pkce) == ("authed_user", False)
        assert provider.revoke_url == provider.account_url == ""
        assert provider.api_hosts == ()

    def test_a_provider_that_everybody_runs_needs_its_host(self) -> None:
        client = {"OKTA_CLIENT_ID": "id", "OKTA_CLIENT_SECRET": "hush"}
        assert fault(EXTRA_PROVIDERS="okta", **client).startswith("OKTA_HOST is missing")
        found = settings(EXTRA_PROVIDERS="okta", OKTA_HOST="acme.okta.test/oauth2", **client)
        provider = build_providers(PROVIDER_TEMPLATES, found.providers_config)["okta"]
        assert provider.token_url == "https://acme.okta.test/oauth2/v1/token"

    def test_a_public_client_needs_no_secret(self) -> None:
        found = settings(EXTRA_PROVIDERS="slack", SLACK_CLIENT_ID="id", SLACK_CLIENT_AUTH="none")
        provider = build_providers(PROVIDER_TEMPLATES, found.providers_config)["slack"]
        assert provider.is_configured

    @every("names", ["Git Lab!", "-x", "a_b a-b", "x" * 33])
    def test_names_that_cannot_be_providers_are_faults(self, names: str) -> None:
        assert fault(EXTRA_PROVIDERS=names).startswith("EXTRA_PROVIDERS ")

    @pytest.mark.parametrize("name", ["GITHUB_CLIENTID", "GITHUB_SCOPE", "DISCORD_CLIENT_SECERT"])
    def test_a_misspelt_setting_is_a_fault_that_names_the_right_one(self, name: str) -> None:
        assert f"{name} is not a setting; {name[:9]}" in fault(**{name: "x"})

    def test_the_variables_of_a_build_machine_are_no_misspelt_settings(self) -> None:
        names = (
            "ACTION ACTIONS ACTION_PATH ACTION_REF ACTION_REPOSITORY ACTOR ACTOR_ID API_URL "
            "BASE_REF ENV EVENT_NAME EVENT_PATH GRAPHQL_URL HEAD_REF JOB OUTPUT PATH REF REF_NAME "
            "REF_PROTECTED REF_TYPE REPOSITORY REPOSITORY_ID REPOSITORY_OWNER RETENTION_DAYS "
            "RUN_ATTEMPT RUN_ID RUN_NUMBER SERVER_URL SHA STATE STEP_SUMMARY TOKEN WORKFLOW "
            "WORKFLOW_REF WORKFLOW_SHA WORKSPACE"
        )
        settings(
            **{f"GITHUB_{name}": "x" for name in names.split()},
            GOOGLE_APPLICATION_CREDENTIALS="x",
            GOOGLE_CLOUD_PROJECT="x",
        )


class TestWhoMaySignIn:
    def test_nobody_but_from_chat_unless_it_is_said(self) -> None:
        found = settings()
        assert (found.oidc_issuer, found.oidc_client_id, found.oidc_client_secret) == ("", "", "")
        assert (found.support_group, found.proxy_user_header, found.proxy_groups_header) == (
            "",
            "",
            "",
        )

    def test_sign_on_needs_issuer_client_id_and_whom_it_is_for(self) -> None:
        found = settings(**SIGN_ON)
        assert found.oidc_issuer == SIGN_ON["OIDC_ISSUER"]
        assert (found.oidc_client_id, found.support_group) == ("webui", "helpdesk")
        assert found.oidc_scopes == ("openid",)
        assert (found.oidc_user_claim, found.oidc_support_claim) == ("sub", "groups")
        assert found.oidc_people == "staff"

    def test_everything_about_sign_on_is_taken(self) -> None:
        found = settings(
            **SIGN_ON,
            OIDC_CLIENT_SECRET="hush",
            OIDC_SCOPES="openid, groups profile",
            OIDC_USER_CLAIM="preferred_username",
            OIDC_SUPPORT_CLAIM="https://claims.test/roles",
            OIDC_PEOPLE="Everybody",
            OIDC_LABEL="Our login",
        )
        assert found.oidc_client_secret == "hush"
        assert found.oidc_scopes == ("openid", "groups", "profile")
        assert found.oidc_user_claim == "preferred_username"
        assert found.oidc_support_claim == "https://claims.test/roles"
        assert (found.oidc_people, found.oidc_label) == ("everybody", "Our login")

    def test_sign_on_half_set_up_is_a_fault(self) -> None:
        issuer, client = SIGN_ON["OIDC_ISSUER"], SIGN_ON["OIDC_CLIENT_ID"]
        assert fault(OIDC_ISSUER=issuer, SUPPORT_USERS="ann").startswith("OIDC_CLIENT_ID is miss")
        assert fault(OIDC_CLIENT_ID=client, SUPPORT_USERS="ann").startswith("OIDC_ISSUER is miss")
        assert len(faults(OIDC_CLIENT_SECRET="hush", SUPPORT_USERS="ann")) == 2

    def test_sign_on_for_staff_of_whom_there_can_be_none_is_a_fault(self) -> None:
        nobody = {name: value for name, value in SIGN_ON.items() if name != "SUPPORT_GROUP"}
        assert fault(**nobody).startswith("SUPPORT_GROUP is missing")
        settings(**nobody, SUPPORT_USERS="ann")
        settings(**nobody, OIDC_PEOPLE="everybody")

    def test_an_issuer_on_loopback_is_taken_while_the_site_is_there(self) -> None:
        local = SIGN_ON | {"OIDC_ISSUER": "http://127.0.0.1:9000/realms/x"}
        settings(BASE_URL="http://localhost:8000", **local)
        assert "BASE_URL is not on this machine" in fault(**local)

    def test_headers_are_known_in_lower_case(self) -> None:
        found = settings(**PROXY, PROXY_GROUPS_HEADER="X-Forwarded-Groups", SUPPORT_GROUP="/staff")
        assert found.proxy_user_header == "x-forwarded-user"
        assert found.proxy_groups_header == "x-forwarded-groups"

    def test_headers_that_nobody_could_be_believed_in_are_faults(self) -> None:
        user, groups = "X-Forwarded-User", "X-Forwarded-Groups"
        assert fault(PROXY_USER_HEADER=user).startswith("TRUSTED_PROXIES is missing")
        assert fault(
            TRUSTED_PROXIES="10.0.0.1", PROXY_GROUPS_HEADER=groups, SUPPORT_GROUP="staff"
        ).startswith("PROXY_USER_HEADER is missing")
        assert "must not be the same" in fault(**PROXY, PROXY_GROUPS_HEADER="x-forwarded-USER")

    def test_a_group_that_nobody_can_be_in_is_a_fault(self) -> None:
        assert "neither OIDC_ISSUER nor PROXY_GROUPS_HEADER" in fault(SUPPORT_GROUP="staff")
        told = fault(**PROXY, PROXY_GROUPS_HEADER="X-Groups", SUPPORT_GROUP="cn=a,dc=test")
        assert told.startswith("SUPPORT_GROUP must have no comma")

    def test_a_provider_may_not_be_called_as_the_sign_on_is(self) -> None:
        assert "EXTRA_PROVIDERS may not name oidc" in str(faults(EXTRA_PROVIDERS="gitea oidc"))


class TestSources:
    def test_a_toml_file_gives_the_same_settings(self, tmp_path: Path) -> None:
        file = tmp_path / "webui.toml"
        file.write_text(
            f"""
            base_url = "https://connect.test"
            REDIS_URL = "redis://redis.test"
            encryption_key = ["{KEY}", "{OLD_KEY}"]
            session_secret = "{SECRET}"
            strict_records = true
            extra_providers = ["git-lab"]
            [github]
            client_id = "id"
            client_secret = "hush"
            scopes = ["repo", "read:user"]
            [git-lab]
            authorize_url = "https://git.test/authorize"
            token_url = "https://git.test/token"
            extra_auth_params = {{ prompt = "consent", hint = "a&b" }}
            """
        )
        found = load_settings({"WEBUI_CONFIG": str(file)})
        assert found.encryption_keys == (KEY, OLD_KEY)
        assert found.strict_records
        assert found.providers_config["github"]["scopes"] == ["repo", "read:user"]
        extra = found.providers_config["git-lab"]["extra_auth_params"]
        assert extra == {"prompt": "consent", "hint": "a&b"}

    def test_the_environment_goes_before_a_secret_file_and_that_before_toml(
        self, tmp_path: Path
    ) -> None:
        secret_file, toml = tmp_path / "secret", tmp_path / "webui.toml"
        secret_file.write_text(f"{OTHER_SECRET}\n")
        toml.write_text(f'session_secret = "{SECRET}"\nproduct_name = "From TOML"\n')
        environ = GOOD | {"SESSION_SECRET_FILE": str(secret_file), "WEBUI_CONFIG": str(toml)}
        assert load_settings(environ).session_secrets == (GOOD["SESSION_SECRET"],)
        del environ["SESSION_SECRET"]
        assert load_settings(environ).session_secrets == (OTHER_SECRET,)
        del environ["SESSION_SECRET_FILE"]
        assert load_settings(environ).session_secrets == (SECRET,)
        assert load_settings(environ).product_name == "From TOML"
        assert load_settings(environ | {"PRODUCT_NAME": "Comet"}).product_name == "Comet"

    def test_the_survey_says_where_a_setting_came_from(self, tmp_path: Path) -> None:
        secret, toml = tmp_path / "secret", tmp_path / "webui.toml"
        secret.write_text(SECRET)
        toml.write_text('product_name = "Comet"')
        environ = {"SESSION_SECRET_FILE": str(secret), "WEBUI_CONFIG": str(toml), "BOT_NAME": "Bot"}
        given = survey(environ).given
        assert {name: found.source for name, found in given.items()} == {
            "SESSION_SECRET": "file",
            "PRODUCT_NAME": "WEBUI_CONFIG",
            "BOT_NAME": "environment",
            "WEBUI_CONFIG": "environment",
        }
        assert SECRET not in repr(given)

    @pytest.mark.parametrize("name", ["SESSION_SECRET_FILE", "WEBUI_CONFIG"])
    @pytest.mark.parametrize("content", [None, b"\xff\xfe"])
    def test_a_file_that_cannot_be_read_is_a_fault(
        self, tmp_path: Path, name: str, content: bytes | None
    ) -> None:
        file = tmp_path / "absent"
        if content is not None:
            file.write_bytes(content)
        environ = GOOD | {"SESSION_SECRET": "", name: str(file)}
        with pytest.raises(SettingsError) as caught:
            load_settings(environ)
        assert f"{name} names a file that cannot be read." in caught.value.faults
        assert str(tmp_path) not in str(caught.value)

    def test_a_file_that_is_not_toml_is_a_fault_with_the_line(self, tmp_path: Path) -> None:
        file = tmp_path / "webui.toml"
        file.write_text('product_name = "x"\nsession_secret = hush\n')
        told = fault(WEBUI_CONFIG=str(file))
        assert told.startswith("WEBUI_CONFIG names a file that is not TOML (at line 2")
        assert "hush" not in told

    def test_values_asked_of_the_person_are_settings_like_others(self, tmp_path: Path) -> None:
        file = tmp_path / "webui.toml"
        asks = {"label": "Your shop", "pattern": "[a-z]{1,60}", "example": "acme"}
        file.write_text("[acme.ask.shop]\n" + "".join(f"{k} = '{v}'\n" for k, v in asks.items()))
        given = {"WEBUI_CONFIG": str(file)}, {"ACME_ASK": json.dumps({"shop": asks})}
        for way in given:
            (one,) = settings(**ACME, **way).providers_config["acme"]["ask"]
            assert one.label == "Your shop"
            assert one.read("acme", "Blue.acme.example", "acme.example") == "blue"

    def test_a_date_among_them_is_read_as_its_text(self, tmp_path: Path) -> None:
        file = tmp_path / "webui.toml"
        words = "label = 2026-11-28\npattern = '[a-z]+'\nexample = 'acme'\n"
        file.write_text(f"[acme.ask.shop]\n{words}")
        (one,) = settings(**ACME, WEBUI_CONFIG=str(file)).providers_config["acme"]["ask"]
        assert one.label == "2026-11-28"

    @every(
        ("ask", "told"),
        [
            ("shop", "ACME_ASK must be JSON"),
            ("[]", "ACME_ASK must be a table of at most three values"),
            ('{"shop": {"pattern": "[a-z]+"}}', "ACME_ASK may have choices, example, fills, label"),
            ("", "ACME_AUTHORIZE_URL has a place for what is asked of nobody"),
            (
                '{"team": {"label": "Team", "choices": {"eu": "Europe"}}}',
                "ACME_ASK has team, and no address has a place for it",
            ),
        ],
    )
    def test_values_asked_and_their_places_go_together(self, ask: str, told: str) -> None:
        assert any(one.startswith(told) for one in faults(**ACME, ACME_ASK=ask))

    @every(
        ("given", "told"),
        [
            ({"ACME_HOST": "1.acme.example"}, 'must be what people would answer to "Your shop"'),
            ({"ACME_HOST": "blue", "ACME_REVOKE_URL": TEAM_URL}, "is one answer, and more values"),
            ({"ACME_ACCOUNT_URL": "https://{host}/me"}, "is missing"),
        ],
    )
    def test_a_host_answers_what_people_would_be_asked_or_fills_the_addresses(
        self, given: dict[str, str], told: str
    ) -> None:
        asks = {"shop": {"label": "Your shop", "pattern": "[a-z]+", "example": "blue"}}
        if "ACME_REVOKE_URL" in given:
            asks["team"] = asks["shop"]
        client = {"ACME_CLIENT_ID": "id", "ACME_CLIENT_SECRET": "hush"}
        said = fault(**ACME, **client, ACME_ASK=json.dumps(asks), **given)
        assert said.startswith(f"ACME_HOST {told}")

    def test_addresses_with_a_place_for_the_host_need_it(self) -> None:
        own = {name: value.replace("{shop}.acme.example", "{host}") for name, value in ACME.items()}
        client = {"ACME_CLIENT_ID": "id", "ACME_CLIENT_SECRET": "hush"}
        assert fault(**own, **client).startswith("ACME_HOST is missing")
        found = settings(**own, **client, ACME_HOST="id.acme.example").providers_config
        assert build_providers({}, found)["acme"].token_url == "https://id.acme.example/token"

    def test_a_name_in_the_file_that_is_not_a_setting_is_a_fault(self, tmp_path: Path) -> None:
        file = tmp_path / "webui.toml"
        file.write_text('[github]\nclientid = "x"\n"{strange}" = "y"\n')
        told = faults(WEBUI_CONFIG=str(file))
        assert "WEBUI_CONFIG: GITHUB_CLIENTID in that file is not a setting." in told
        assert "strange" not in str(told).lower()


# What has to be there too, so that nothing else is wrong.
BESIDE = {
    "GITHUB_CLIENT_ID": {"GITHUB_CLIENT_SECRET": "hush"},
    "SUPPORT_GROUP": SIGN_ON,
    "OIDC_ISSUER": SIGN_ON,
    "OIDC_CLIENT_ID": SIGN_ON,
    "PROXY_USER_HEADER": PROXY,
    "PROXY_GROUPS_HEADER": PROXY,
}
BAD_VALUES = {
    "BASE_URL": [
        "connect.test",
        "ftp://connect.test",
        "http://connect.test",
        "https://",
        "https://connect.test/path",
        "https://connect.test?a",
        "https://connect.test?",
        "https://connect.test#f",
        "https://user@connect.test",
        "https://connect.test:0",
        "https://connect.test:",
        "https://connect.test:99999",
        "https://connect.test:http",
        "https://con nect.test",
        "https://connect.test\\@evil.test",
        "https://c\u00f6nnect.test",
        "https://connect..test",
        "https://[::1",
        "https://[::1%25lo]",
        "http://127.1",
        "http://0x7f.0.0.1",
        "http://localhost.evil.test",
    ],
    "REDIS_URL": [
        "redis.test:6379",
        "http://redis.test",
        "redis://",
        "redis://redis.test:port",
        "redis://redis.test/zero",
        "redis://:pass#word@redis.test",
        "redis://:pass/word@redis.test:6379/0",
        "redis://:pass?word@redis.test:6379/0",
        "redis://:1/2/3/4@redis.test:6379/0",
        "redis://user:pa[ss@redis.test:6379/0",
        "redis://r\u00e9dis.test:6379/0",
        "redis://redis.test?retry_on_timeout=yes",
        "rediss://redis.test?ssl_cert_reqs=none",
        "unix://",
        "unix://run/redis.sock",
    ],
    "ENCRYPTION_KEY": [
        "short",
        KEY[:-1],
        KEY.replace("=", ""),
        KEY[:-2] + "/=",
        base64.urlsafe_b64encode(bytes(32)).decode(),
        base64.urlsafe_b64encode(b"changeme" * 4).decode(),
        base64.urlsafe_b64encode(bytes(range(31))).decode(),
        "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=",
        f"{KEY},short",
        ",",
    ],
    "SESSION_SECRET": [
        "short",
        SECRET[:31],
        "a" * 40,
        "changeme-changeme-changeme-changeme",
        "this-is-an-EXAMPLE-of-a-session-secret",
        f"{SECRET} short",
        ",",
    ],
    "PRODUCT_NAME": ["two\nlines", "x" * 65, "bell\a"],
    "PRODUCT_COLOUR": ["0F5468", "#0F5", "#0F546G", "rebeccapurple", "#FFD500", "#FF0000"],
    "PRODUCT_LOGO": ["/nowhere/at/all.svg", "/dev/zero", "https://example.test/logo.svg"],
    "SUPPORT_USERS": ["ann,b\x00b", "x" * 256],
    "TRUSTED_PROXIES": ["proxy.test", "*", "0.0.0.0/0", "::/0", "10.0.0.1/8"],
    "SUPPORT_GROUP": ["two\nlines", "x" * 256],
    "OIDC_ISSUER": ["login.test", "http://login.test", "https://login.test?x", "https://l.test#x"],
    "OIDC_CLIENT_ID": ["caf\u00e9"],
    "OIDC_SCOPES": ["profile email", "openid.profile"],
    "OIDC_USER_CLAIM": ["two words", "caf\u00e9", "x" * 256],
    "OIDC_SUPPORT_CLAIM": ["a\tb"],
    "OIDC_PEOPLE": ["nobody at all"],
    "OIDC_LABEL": ["x" * 65],
    "PROXY_USER_HEADER": [
        "X_Forwarded_User",
        "X-Forwarded-User:",
        "X-Us\u00e9r",
        "-user",
        "X-Forwarded-For",
        "Cookie",
        "Sec-Fetch-Site",
    ],
    "PROXY_GROUPS_HEADER": ["X Groups", "Host"],
    "LINK_PROOF": ["none", "'code'"],
    "OUTGOING_PROXY": [
        "proxy.test:3128",
        "socks5://proxy.test:1080",
        "http://",
        "http://user:pass#word@proxy.test:3128",
        "http://user:pass/word@proxy.test:3128",
        "http://proxy.test:3128/path",
        "http://pr\u00f6xy.test:3128",
    ],
    "LOG_LEVEL": ["loud"],
    "STRICT_RECORDS": ["perhaps"],
    "MICROSOFT_TENANT": ["../evil", "a b"],
    "GITHUB_CLIENT_ID": ["caf\u00e9", "x" * 1025],
    "GITHUB_AUTHORIZE_URL": [
        "github.test",
        "http://github.test",
        "http://127.0.0.1.evil.test",
        "https://u:p@github.test",
        "https://github.test#f",
        "javascript:alert(1)",
    ],
    "GITHUB_ISSUER": ["https://github.test?x"],
    "GITHUB_SCOPE_SEPARATOR": ["both", "\u00b7"],
    "GITHUB_TOKEN_AUTH": ["jwt"],
    "GITHUB_REVOKE_STYLE": ["maybe"],
    "GITHUB_FEATURES": ["reading", "mail:", "mail: repo", ": read:user", "bell\a: read:user"],
    "GITHUB_EXTRA_AUTH_PARAMS": ["a", "a=b&a=c", "state=fixed", "redirect_uri=https://evil.test"],
}


class TestFaults:
    @every(("name", "value"), [(name, value) for name, bad in BAD_VALUES.items() for value in bad])
    def test_a_bad_value_is_one_fault_that_names_the_variable_and_not_the_value(
        self, name: str, value: str
    ) -> None:
        told = fault(**BESIDE.get(name, {}) | {name: value})
        assert told.startswith(f"{name} ")
        if len(value) > 8:
            assert value not in told

    @every("name", list(GOOD))
    def test_a_required_setting_that_is_missing_is_a_fault(self, name: str) -> None:
        assert fault(**{name: ""}).startswith(f"{name} is missing.")

    @every("mark", ["'", '"'])
    @every(
        ("name", "value"),
        [
            *GOOD.items(),
            ("PRODUCT_NAME", "Comet"),
            ("GITHUB_TOKEN_URL", "https://github.test/token"),
            ("GITHUB_SCOPES", "read:user repo"),
        ],
    )
    def test_a_value_in_quotation_marks_is_one_fault_that_says_so(
        self, name: str, value: str, mark: str
    ) -> None:
        told = fault(**{name: f"{mark}{value}{mark}"})
        assert told.startswith(f"{name} stands in quotation marks")
        assert value not in told

    @every(
        ("before", "after"),
        [("\u201c", "\u201d"), ("\u2018", "\u2019"), ("\u201e", "\u201c"), ("`", "`"), ('"', "'")],
    )
    @every("name", ["SESSION_SECRET", "ENCRYPTION_KEY", "PRODUCT_NAME"])
    def test_a_value_in_curly_or_mixed_quotation_marks_or_backticks_is_a_fault(
        self, name: str, before: str, after: str
    ) -> None:
        value = GOOD.get(name, "Comet")
        told = fault(**{name: f"{before}{value}{after}"})
        assert told.startswith(f"{name} stands in quotation marks")
        assert value not in told

    @every("mark", ["'", '"', "`", "\u201c", "\u2019"])
    @every(
        ("name", "value"),
        [
            *GOOD.items(),
            ("GITHUB_CLIENT_ID", "an-id"),
            ("GITHUB_CLIENT_SECRET", "canary"),
            ("OIDC_CLIENT_SECRET", "canary"),
            ("GITHUB_TOKEN_URL", "https://github.com/token"),
            ("GITHUB_SCOPES", "read:user repo"),
            ("OIDC_SCOPES", "openid"),
            ("OUTGOING_PROXY", "http://user:canary@proxy.test:3128"),
        ],
    )
    def test_a_quotation_mark_at_one_end_of_what_is_no_sentence_is_a_fault(
        self, name: str, value: str, mark: str
    ) -> None:
        beside = {"GITHUB_CLIENT_ID": "id", "GITHUB_CLIENT_SECRET": "hush"} | SIGN_ON
        for marked in (mark + value, value + mark):
            told = faults(**{**beside, name: marked})[0]
            assert told.startswith(f"{name} ")
            assert "canary" not in told
            assert value not in told

    def test_the_fault_of_a_quotation_mark_at_one_end_says_what_it_is(self) -> None:
        told = fault(GITHUB_CLIENT_ID="id", GITHUB_CLIENT_SECRET='canary"')
        assert "begins or ends with a quotation mark or a backtick" in told

    def test_a_sentence_may_end_with_a_quotation_mark_and_a_secret_may_have_one_inside(
        self,
    ) -> None:
        found = settings(
            BOT_NAME='Ada "the bot"',
            GITHUB_PURPOSE='Lets {bot} say "hello"',
            GITHUB_CLIENT_ID="an'id",
            GITHUB_CLIENT_SECRET='a secret`with "blanks',
        )
        assert found.bot_name == 'Ada "the bot"'
        assert found.providers_config["github"]["client_secret"] == 'a secret`with "blanks'

    @every("name", ["GITHUB_CLIENT_ID", "OIDC_CLIENT_ID"])
    @every("value", ["an\tid", "an\nid", "an\x00id"])
    def test_a_client_id_with_a_control_character_is_a_fault(self, name: str, value: str) -> None:
        beside = {"GITHUB_CLIENT_SECRET": "hush", "GITHUB_CLIENT_ID": "id"} | SIGN_ON
        told = fault(**{**beside, name: value})
        assert told.startswith(f"{name} must ")
        assert value not in told

    def test_a_secrets_file_in_quotation_marks_is_one_fault_that_says_so(
        self, tmp_path: Path
    ) -> None:
        secret = tmp_path / "secret"
        secret.write_text(SECRET)
        told = faults(SESSION_SECRET="", SESSION_SECRET_FILE=f'"{secret}"')
        assert told[0].startswith("SESSION_SECRET_FILE stands in quotation marks")
        secret.write_text(f"'{SECRET}'\n")
        told = faults(SESSION_SECRET="", SESSION_SECRET_FILE=str(secret))
        assert told[0].startswith("SESSION_SECRET stands in quotation marks")

    def test_a_configuration_file_in_quotation_marks_is_one_fault_that_says_so(
        self, tmp_path: Path
    ) -> None:
        config = tmp_path / "webui.toml"
        config.write_text("product_name = 'Comet'\n")
        told = fault(WEBUI_CONFIG=f'"{config}"')
        assert told.startswith("WEBUI_CONFIG stands in quotation marks")

    @every("character", list("#/?[]"))
    def test_a_password_that_ends_early_is_told_with_what_to_encode(self, character: str) -> None:
        told = fault(REDIS_URL=f"redis://user:canary{character}canary@redis.test:6379/0")
        assert "percent-encode it" in told
        assert "canary" not in told

    @every("password", ["p@ss", "p:ss", "p%23ss", "p%2Fss", "p!$&'()*+,;=ss"])
    def test_a_password_that_can_stand_as_it_is_is_taken(self, password: str) -> None:
        url = f"redis://user:{password}@redis.test:6379/0?client_name=a@b"
        assert settings(REDIS_URL=url).redis_url == url

    @every(
        ("name", "value"),
        [
            ("BASE_URL", "https://b\u00fccher.test"),
            ("REDIS_URL", "redis://:pw@b\u00fccher.test:6379/0"),
            ("GITHUB_TOKEN_URL", "https://b\u00fccher.test/token"),
            ("OIDC_ISSUER", "https://b\u00fccher.test/realm"),
            ("OUTGOING_PROXY", "http://b\u00fccher.test:3128"),
        ],
    )
    def test_an_international_host_name_is_told_with_the_form_to_write(
        self, name: str, value: str
    ) -> None:
        told = fault(**BESIDE.get(name, {}) | {name: value})
        assert "in the form that begins with xn--" in told
        assert settings(BASE_URL="https://xn--bcher-kva.test").host == "xn--bcher-kva.test"

    def test_a_key_that_is_also_a_session_secret_is_a_fault(self) -> None:
        assert "must not share" in fault(SESSION_SECRET=f"{SECRET},{KEY}")

    def test_all_faults_are_told_at_once(self) -> None:
        every = {name: bad[0] for name, bad in BAD_VALUES.items()}
        told = faults(**every)
        assert {sentence.split()[0] for sentence in told} >= set(every)

    def test_no_setting_at_all_names_the_four_required_ones(self) -> None:
        with pytest.raises(SettingsError) as caught:
            load_settings({})
        assert [sentence.split()[0] for sentence in caught.value.faults] == list(GOOD)

    @examples(deadline=None)
    @given(
        st.dictionaries(
            # The names of providers are told: they are parts of the names of settings.
            st.sampled_from(sorted({s.name for s in all_settings(["lab"])} - {"EXTRA_PROVIDERS"})),
            st.text(min_size=12, max_size=80).map(lambda text: f"{text}-canary-{text}"),
            max_size=8,
        )
    )
    def test_whatever_is_given_nothing_else_is_raised_and_no_value_is_told(
        self, junk: dict[str, str]
    ) -> None:
        environ = {"EXTRA_PROVIDERS": "lab"} | junk
        environ["WEBUI_CONFIG"] = ""
        with pytest.raises(SettingsError) as caught:
            load_settings(environ)
        assert "canary" not in repr(caught.value)


class TestSecrecy:
    def test_repr_shows_no_secret(self) -> None:
        found = settings(
            REDIS_URL="redis://:redis-canary@redis.test",
            GITHUB_CLIENT_ID="id",
            GITHUB_CLIENT_SECRET="client-canary",
            **SIGN_ON,
            OIDC_CLIENT_SECRET="sign-on-canary",
        )
        shown = repr(found) + str(found)
        for secret in (KEY, SECRET, "redis-canary", "client-canary", "sign-on-canary"):
            assert secret not in shown

    def test_what_holds_a_secret_is_marked_in_the_table(self) -> None:
        marked = {setting.name for setting in (*SETTINGS, *PROVIDER_SETTINGS) if setting.is_secret}
        assert marked == {
            "REDIS_URL",
            "ENCRYPTION_KEY",
            "SESSION_SECRET",
            "ENCRYPTION_KEY_COMMAND",
            "OIDC_CLIENT_SECRET",
            "OUTGOING_PROXY",
            "METRICS_TOKEN",
            "WEBHOOK_SECRET",
            "CLIENT_SECRET",
            "CLIENT_KEY",
        }

    def test_settings_cannot_be_changed(self) -> None:
        found: Any = settings()
        with pytest.raises(AttributeError):
            found.base_url = "https://evil.test"


def test_every_default_in_the_table_is_a_good_value() -> None:
    table: Mapping[str, str] = {s.name: s.default for s in all_settings() if s.default}
    assert settings(**table) == settings()


class TestTheCheck:
    pytestmark = pytest.mark.anyio

    async def said(self, redis_url: str, **more: str) -> tuple[bool, str]:
        lines: list[str] = []
        local = {"BASE_URL": "http://localhost:8000", "REDIS_URL": redis_url}
        is_well = await run_checkup(GOOD | local | more, lines.append)
        return is_well, "\n".join(lines)

    async def test_prints_every_setting_and_no_secret(self, redis_url: str) -> None:
        _, said = await self.said(redis_url, **SIGN_ON, OIDC_CLIENT_SECRET="sign-on-canary")
        for setting in SETTINGS:
            assert f"  {setting.name}: " in said
        assert "  OIDC_CLIENT_ID: webui (environment)\n" in said
        assert "  OIDC_CLIENT_SECRET: set (environment)\n" in said
        for secret in (KEY, SECRET, redis_url, "sign-on-canary"):
            assert secret not in said

    async def test_says_where_each_value_came_from(self, redis_url: str, tmp_path: Path) -> None:
        secret, config = tmp_path / "secret", tmp_path / "webui.toml"
        secret.write_text("client-canary")
        config.write_text(
            "product_name = 'Comet'\nbot_name = 'Halley'\n"
            f"[github]\nclient_id = 'an-id'\nclient_secret_file = '{secret}'\n"
            "[google]\nfeatures = { reminders = ['openid'] }\n"
        )
        _, said = await self.said(
            redis_url,
            WEBUI_CONFIG=str(config),
            BOT_NAME="Encke",
            GOOGLE_CLIENT_ID="google-id",
            GOOGLE_CLIENT_SECRET="google-canary",
        )
        for line in (
            "BASE_URL: http://localhost:8000 (environment)",
            "PRODUCT_NAME: Comet (file that WEBUI_CONFIG names)",
            "BOT_NAME: Encke (environment)",
            "LINK_PROOF: code (default)",
            "CHAT_URL: not set",
            "REDIS_URL: set (environment)",
            "GITHUB_CLIENT_ID: an-id (file that WEBUI_CONFIG names)",
            "GITHUB_CLIENT_SECRET: set (file of its own)",
            "GOOGLE_FEATURES: reminders:openid (file that WEBUI_CONFIG names)",
            f"WEBUI_CONFIG: {config} (environment)",
        ):
            assert f"  {line}\n" in said
        assert "DISCORD_CLIENT_ID" not in said
        assert "canary" not in said

    async def test_names_a_colour_that_would_do_and_what_is_wrong_with_the_logo(
        self, redis_url: str, tmp_path: Path
    ) -> None:
        logo = tmp_path / "logo.svg"
        logo.write_text(DRAWING.replace("/>", ' onclick="x()"/>'))
        is_well, said = await self.said(redis_url, PRODUCT_COLOUR="#FFD500", PRODUCT_LOGO=str(logo))
        assert not is_well
        assert "  PRODUCT_COLOUR is too hard to see: in the light scheme, a button on" in said
        assert "The nearest colour that would do is #A78B00." in said
        told = "names an SVG with an event attribute (on...); take it out (line 1 of it)."
        assert f"  PRODUCT_LOGO {told}" in said

    async def test_sends_no_command_to_the_terminal(self, redis_url: str) -> None:
        _, said = await self.said(redis_url, PRODUCT_NAME="a\x1b[2Jb\u202ec")
        assert "PRODUCT_NAME: a\\u001b[2Jb\\u202ec (environment)" in said

    async def test_says_who_is_staff(self, redis_url: str) -> None:
        _, said = await self.said(redis_url)
        assert "Support staff: nobody" in said
        groups = {"PROXY_GROUPS_HEADER": "X-Groups", "SUPPORT_GROUP": "helpdesk"}
        _, said = await self.said(redis_url, **PROXY, **groups, SUPPORT_USERS="ann-canary")
        assert (
            "Support staff: whom SUPPORT_USERS names, and who is in SUPPORT_GROUP by the proxy"
        ) in said

    async def test_asks_after_the_sign_on_and_says_what_to_register(
        self, redis_url: str, redis: Redis
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            host = f"127.0.0.1:{taken.getsockname()[1]}"
        nobody_there = SIGN_ON | {"OIDC_ISSUER": f"http://{host}/realms/x"}
        is_well, said = await self.said(redis_url, **nobody_there)
        assert not is_well
        assert "register the callback http://localhost:8000/signin/sso/callback" in said
        assert f"discovery at {host}: NOT right" in said


def test_the_number_of_accounts_is_that_of_the_service_or_else_of_all() -> None:
    found = settings(MAX_ACCOUNTS="2", GITHUB_MAX_ACCOUNTS="3")
    most = {name: own["max_accounts"] for name, own in found.providers_config.items()}
    assert most == {"discord": 2, "github": 3, "google": 2, "microsoft": 2}
