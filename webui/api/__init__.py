"""The HTTP API for bots that hold a service key: tokens, links, proofs and connections."""
