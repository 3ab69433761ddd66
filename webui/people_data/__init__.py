"""People's data: exported, erased, and brought in from elsewhere."""
