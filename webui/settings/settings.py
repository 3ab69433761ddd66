"""``Settings`` and ``load_settings``: every value of a site."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from webui.oauth_manager.providers import MAX_ACCOUNTS, merged, template
from webui.settings import identity, key_command
from webui.settings import readers as values
from webui.settings.agreement import disagreements, own_fields
from webui.settings.logo import Logo
from webui.settings.sources import Given, Survey, survey
from webui.settings.table import all_settings, provider_names, variable


class SettingsError(Exception):
    """Faults that keep the site from starting: a sentence each, with variables, never values."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(self.faults))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings, checked.  ``repr`` shows no secret."""

    base_url: str  # no slash at the end
    redis_url: str = field(repr=False)
    encryption_keys: tuple[str, ...] = field(repr=False)  # newest first
    session_secrets: tuple[str, ...] = field(repr=False)  # newest first
    product_name: str = "Stargazer"
    product_colour: str = ""  # #RRGGBB in upper case; "" for the usual one
    product_logo: Logo | None = None
    provider_logos: Mapping[str, Logo] = field(default_factory=dict)
    bot_name: str = "Stargazer"
    chat_url: str = ""
    support_users: frozenset[str] = frozenset()
    support_group: str = ""
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = field(default="", repr=False)
    oidc_scopes: tuple[str, ...] = ("openid",)
    oidc_user_claim: str = "sub"
    oidc_support_claim: str = "groups"
    oidc_people: str = "staff"
    oidc_label: str = ""
    trusted_proxies: tuple[str, ...] = ()
    proxy_user_header: str = ""  # lower case
    proxy_groups_header: str = ""  # lower case
    link_proof: str = "code"
    outgoing_proxy: str = field(default="", repr=False)
    log_level: str = "info"
    strict_records: bool = False
    redis_wait_replicas: int = 0
    api: bool = True
    api_port: int = 0  # 0: the API is on the site's
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)  # newest first
    webhook_private: bool = False
    keep_alive: float = 0.0  # seconds from one pass to the next; 0 for none
    metrics_port: int = 0
    metrics_host: str = "127.0.0.1"
    metrics_token: str = field(default="", repr=False)
    providers_config: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    @property
    def is_secure(self) -> bool:
        """Return whether people reach the site over https."""
        return self.base_url.startswith("https://")

    @property
    def host(self) -> str:
        """Return the only Host header that is answered, with the port unless it is the default."""
        return urlsplit(self.base_url).netloc


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Load all settings.  Raises :class:`SettingsError` with every fault at once."""
    found = survey(environ)
    given, faults = found.given, found.faults
    read: dict[str, Any] = {}
    for setting in all_settings(found.extra):
        text = given[setting.name].text if setting.name in given else setting.default
        if not text and setting.is_required and not _is_to_be_printed(setting.name, given):
            faults.append(f"{setting.name} is missing. {setting.meaning}")
        elif text:
            try:
                read[setting.name] = setting.read(values.unquoted(text))
            except values.Malformed as fault:
                faults.append(f"{setting.name} {fault}.")
    faults += disagreements(found, read)
    if faults:
        raise SettingsError(faults)
    return Settings(
        base_url=read["BASE_URL"],
        redis_url=read["REDIS_URL"],
        encryption_keys=read["ENCRYPTION_KEY"],
        session_secrets=read["SESSION_SECRET"],
        product_name=read["PRODUCT_NAME"],
        product_colour=read.get("PRODUCT_COLOUR", ""),
        product_logo=read.get("PRODUCT_LOGO"),
        provider_logos=_provider_logos(read, found),
        bot_name=read.get("BOT_NAME", read["PRODUCT_NAME"]),
        chat_url=read.get("CHAT_URL", ""),
        link_proof=read["LINK_PROOF"],
        outgoing_proxy=read.get("OUTGOING_PROXY", ""),
        log_level=read["LOG_LEVEL"],
        strict_records=read["STRICT_RECORDS"],
        redis_wait_replicas=read["REDIS_WAIT_REPLICAS"],
        api=read["API"],
        api_port=read.get("API_PORT", 0),
        webhook_secrets=read.get("WEBHOOK_SECRET", ()),
        webhook_private=read["WEBHOOK_PRIVATE"],
        keep_alive=read.get("KEEP_ALIVE", 0.0),
        metrics_port=read.get("METRICS_PORT", 0),
        metrics_host=read["METRICS_HOST"],
        metrics_token=read.get("METRICS_TOKEN", ""),
        providers_config=_providers_config(read, found),
        **{name.lower(): read[name] for name in identity.NAMES if name in read},
    )


def _is_to_be_printed(name: str, given: Mapping[str, Given]) -> bool:
    """Tell whether a program was to print it, of which another fault tells."""
    return name == "ENCRYPTION_KEY" and key_command.NAME in given


def _provider_logos(read: Mapping[str, Any], found: Survey) -> dict[str, Logo]:
    names = {provider: variable(provider, "LOGO") for provider in provider_names(found.extra)}
    given = {provider: read[name] for provider, name in names.items() if name in read}
    in_files = {name: entry.facts.get("logo") for name, entry in found.own.items()}
    return {name: logo for name, logo in in_files.items() if logo} | given


def _providers_config(read: Mapping[str, Any], found: Survey) -> dict[str, dict[str, Any]]:
    most = {"max_accounts": read["MAX_ACCOUNTS"]} if read["MAX_ACCOUNTS"] != MAX_ACCOUNTS else {}
    config = {
        provider: most | own_fields(provider, read) for provider in provider_names(found.extra)
    }
    if read["MICROSOFT_TENANT"] != "common":
        for endpoint in ("authorize_url", "token_url"):
            usual: str = template("microsoft")[endpoint]
            tenants = usual.replace("/common/", f"/{read['MICROSOFT_TENANT']}/")
            config["microsoft"].setdefault(endpoint, tenants)
    for provider, entry in found.own.items():  # the library knows the catalogue alone
        config[provider] = merged(entry.fields, config[provider])
    return {name: fields for name, fields in config.items() if fields or name in found.extra}
