"""A browser that speaks WSGI and keeps cookies: a call costs next to nothing beyond Django's."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlsplit

_CSRF = "c" * 32


@dataclass
class WsgiBrowser:
    app: Any
    cookies: dict[str, str] = field(default_factory=dict, repr=False)

    def get(self, url: str) -> tuple[int, dict[str, str], str]:
        return self._ask("GET", url)

    def post(self, url: str) -> tuple[int, dict[str, str], str]:
        return self._ask("POST", url)

    def _ask(self, method: str, url: str) -> tuple[int, dict[str, str], str]:
        """Return status, headers by their names in small letters, and body."""
        parts = urlsplit(url)
        cookies = {"csrftoken": _CSRF, **self.cookies}
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": parts.path,
            "QUERY_STRING": parts.query,
            "SCRIPT_NAME": "",
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_LENGTH": "0",
            "HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in cookies.items()),
            "HTTP_X_CSRFTOKEN": _CSRF,
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
        }
        answer: list[Any] = []
        body = self.app(environ, lambda status, headers: answer.extend((status, headers)))
        text = b"".join(body).decode()
        body.close()
        for name, value in answer[1]:
            if name == "Set-Cookie":
                self.cookies |= {k: m.value for k, m in SimpleCookie(value).items()}
        return int(answer[0][:3]), {name.lower(): value for name, value in answer[1]}, text
