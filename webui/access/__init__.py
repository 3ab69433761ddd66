"""Access: who may open which page."""
