"""A line for each connection of Nango: its rows come in as JSON, a line each."""

import base64
import json
import os
import sys
from datetime import datetime

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

key = base64.b64decode(os.environ.get("NANGO_ENCRYPTION_KEY", ""))
for row in map(json.loads, sys.stdin):
    held = row["credentials"]
    if row["credentials_iv"]:
        parts = held["encrypted_credentials"], row["credentials_iv"], row["credentials_tag"]
        sealed, nonce, tag = map(base64.b64decode, parts)
        held = json.loads(AESGCM(key).decrypt(nonce, sealed + tag, None))
    if held["type"] == "OAUTH2":
        ends = held.get("expires_at")
        line = {
            "user_id": row["connection_id"],  # the id under which the bot asks
            "provider": row["provider_config_key"],
            "access_token": held["access_token"],
            "refresh_token": held.get("refresh_token") or "",
            "expires_at": datetime.fromisoformat(ends).timestamp() if ends else 0,
            "scopes": (held.get("raw") or {}).get("scope", ""),
        }
        print(json.dumps(line))
