"""A line for each OAuth session of Open WebUI: its SQLite file is the argument."""

import base64
import hashlib
import json
import os
import sqlite3
import sys

from cryptography.fernet import Fernet

key = os.environ.get("OAUTH_SESSION_TOKEN_ENCRYPTION_KEY") or os.environ["WEBUI_SECRET_KEY"]
if len(key) != 44:
    key = base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()).decode()
query = "SELECT user_id, provider, expires_at, token FROM oauth_session ORDER BY updated_at DESC"
for user_id, provider, expires_at, sealed in sqlite3.connect(sys.argv[1]).execute(query):
    token = json.loads(Fernet(key).decrypt(sealed))
    line = {
        "user_id": user_id,  # the id under which the bot asks
        "provider": provider,
        "access_token": token["access_token"],
        "refresh_token": token.get("refresh_token", ""),
        "expires_at": expires_at,
        "scopes": token.get("scope") or "",
    }
    print(json.dumps(line))
