"""Access: rules about who may open which page."""
