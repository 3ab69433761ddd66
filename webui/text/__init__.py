"""Text that people read: the catalogue, names, times and permissions.  Pure functions."""
