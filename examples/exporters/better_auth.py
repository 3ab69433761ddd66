"""A line for each account of Better Auth with tokens: its SQLite file is the argument."""

import json
import sqlite3
import sys
from datetime import datetime

query = """SELECT userId, providerId, accountId, accessToken, refreshToken,
                  accessTokenExpiresAt, scope
           FROM account WHERE accessToken IS NOT NULL ORDER BY updatedAt DESC"""
for user_id, provider, account, access, refresh, ends, scope in sqlite3.connect(
    sys.argv[1]
).execute(query):
    line = {
        "user_id": user_id,  # the id under which the bot asks
        "provider": provider,
        "access_token": access,
        "refresh_token": refresh or "",
        "expires_at": datetime.fromisoformat(ends).timestamp() if ends else 0,
        "scopes": (scope or "").replace(",", " "),
        "account": {"id": account},
    }
    print(json.dumps(line))
