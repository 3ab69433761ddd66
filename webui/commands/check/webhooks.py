"""Check of webhooks: what waits for each destination, and what none of them took for a day."""

from __future__ import annotations

from datetime import UTC, datetime

from webui.commands.check.report import Report
from webui.oauth_manager import OAuthManager
from webui.oauth_manager.storage.calls import RedisClient
from webui.support.identifiers import spelled
from webui.webhooks.queue import standings

_MOST_LISTED = 20


async def check_webhooks(manager: OAuthManager, redis: RedisClient, report: Report) -> None:
    """Tell of every destination there was.  Raises ``StoreUnavailable``."""
    for origin, waiting, failed in await standings(redis):
        report.say(f"Webhooks to {spelled(origin)}: {waiting} wait, {len(failed)} were given up")
        for one in failed[-_MOST_LISTED:]:
            notice = manager.open_notice(one.sealed)
            since = datetime.fromtimestamp(one.since, UTC).strftime("%Y-%m-%dT%H:%MZ")
            if notice:
                about = f"{notice.kind.value} of {spelled(notice.provider or 'no service')}"
                report.say(f"  {about}, for {spelled(notice.user_id)}, since {since}")
        if failed:
            report.warning(
                "Nobody took these webhooks for a day.",
                "See what the receiver answers; tell these people yourself.",
            )
