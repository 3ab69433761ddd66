"""Commands of ``webui`` that do more than call the library."""
