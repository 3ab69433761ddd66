"""Strict vendors, each written from the vendor's own documents and from nothing of ours.

``sources`` are the documents; where a shape stands in none, a comment names the public thread that
shows it.
"""

from __future__ import annotations

from tests.kit.vendors.boards import BOARDS
from tests.kit.vendors.leisure import LEISURE
from tests.kit.vendors.others import OTHERS
from tests.kit.vendors.social import SOCIAL
from tests.kit.vendors.work import WORK

VENDORS = WORK | BOARDS | LEISURE | SOCIAL | OTHERS
