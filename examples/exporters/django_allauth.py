"""A line for each token of django-allauth; run it beside manage.py, with DJANGO_SETTINGS_MODULE."""

import json

import django

django.setup()
from allauth.socialaccount.models import SocialToken  # noqa: E402 - Django has to be set up first

for token in SocialToken.objects.select_related("account").order_by("-pk").iterator():
    account, ends = token.account, token.expires_at
    line = {
        "user_id": str(account.user_id),  # the id under which the bot asks
        "provider": account.provider,
        "access_token": token.token,
        "refresh_token": token.token_secret,
        "expires_at": ends.timestamp() if ends else 0,
        "account": {"id": account.uid, "label": account.extra_data.get("email") or str(account)},
    }
    print(json.dumps(line))
