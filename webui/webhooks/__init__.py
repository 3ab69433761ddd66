"""Webhooks: notices brought to an address, signed, in order for each person, at least once."""
