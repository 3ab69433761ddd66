"""Sessions of browsers: the record in Redis, the cookie that names it, its notes."""
