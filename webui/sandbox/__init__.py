"""The demo: stand-in providers, a chat with the bot, a Redis of its own."""
