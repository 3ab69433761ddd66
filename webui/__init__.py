"""Account connections: a library that keeps OAuth tokens, the site around it, and a demo."""
