"""``webui check``: settings that are set or missing, and what can be reached.  Prints no secret.

Every fault is a sentence of its own with its cure.  ``engine`` looks at Redis and the
keys, ``proxy`` at the way out, and ``outside`` at providers and the sign-on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from webui.agreement import agreement
from webui.app import make_manager
from webui.commands.check.engine import check_engine
from webui.commands.check.outside import check_providers, check_proxy, check_sign_on
from webui.commands.check.report import Report, Say
from webui.commands.check.setting_cures import cure
from webui.oauth_manager.configuration import is_placeholder
from webui.oauth_manager.protocol.transport import Transport
from webui.settings.settings import Settings, SettingsError, load_settings
from webui.settings.sources import Given, lookalikes, survey
from webui.settings.table import SETTINGS, all_settings
from webui.support.identifiers import spelled

__all__ = ["run_checkup"]

_USER_INFO = re.compile(r"(?<=://)\S*@")  # refused there, but shown before that
_SOURCES = {
    "environment": "environment",
    "file": "file of its own",
    "program": "printed by ENCRYPTION_KEY_COMMAND",
    "WEBUI_CONFIG": "file that WEBUI_CONFIG names",
}


async def run_checkup(environ: Mapping[str, str], say: Say, *, strict: bool = False) -> bool:
    """Print the whole check-up; return whether the site could work.

    ``strict`` treats warnings as faults.
    """
    report = Report(say)
    found = survey(environ, lambda _: "printed once, for the check-up")
    given, extra = found.given, found.extra
    _say_settings(given, extra, say)
    for name, meant in lookalikes(environ, extra):
        report.warning(
            f"{name} is not a setting, and {meant} is.",
            "If that one is meant, correct the name; if another program reads it, leave it.",
        )
    try:
        settings = load_settings(environ)
    except SettingsError as error:
        say("What is wrong")
        for fault in error.faults:
            say(f"  {fault}")
            if told := cure(fault, extra):
                say(f"    {told}")
        return False
    _warn_of_placeholders(given, report)
    transport = Transport(proxy=settings.outgoing_proxy)
    manager = make_manager(settings, transport)
    say("What a bot must have alike")
    say(f"  {agreement(settings)}: it logs the same digest at its start")
    try:
        await check_engine(settings, manager, report)
        _say_who_is_staff(settings, say)
        way = await check_proxy(settings, report)
        await check_providers(manager, transport, way, report)
        await check_sign_on(settings, transport, way, report)
    finally:
        await transport.aclose()
    report.sum_up()
    return report.is_well(strict=strict)


def _say_settings(given: Mapping[str, Given], extra: Iterable[str], say: Say) -> None:
    """Print every setting with its value and its source; of a provider's, those given.

    Returns the names of the extra providers.
    """
    general = {setting.name for setting in SETTINGS}
    say("Settings")
    for setting in all_settings(extra):
        if found := given.get(setting.name):
            value = "set" if setting.is_secret else spelled(_USER_INFO.sub("***@", found.text))
            say(f"  {setting.name}: {value} ({_SOURCES[found.source]})")
        elif setting.name in general:
            default = f"{setting.default} (default)" if setting.default else "not set"
            say(f"  {setting.name}: {default}")


def _warn_of_placeholders(given: Mapping[str, Given], report: Report) -> None:
    for name, found in given.items():
        if name.endswith(("_CLIENT_ID", "_CLIENT_SECRET")) and is_placeholder(found.text):
            report.warning(
                f"{name} looks like a placeholder of some instructions.",
                "Put the value there that the provider gave you.",
            )


def _say_who_is_staff(settings: Settings, say: Say) -> None:
    ways = ["whom SUPPORT_USERS names"] if settings.support_users else []
    if settings.support_group:
        sources = {"sign-on": settings.oidc_issuer, "the proxy": settings.proxy_groups_header}
        ways.append(f"who is in SUPPORT_GROUP by {' or '.join(filter(sources.get, sources))}")
    say(f"Support staff: {', and '.join(ways) or 'nobody'}")
