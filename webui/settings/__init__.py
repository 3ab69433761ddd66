"""Settings of the site, read from the environment and checked."""
