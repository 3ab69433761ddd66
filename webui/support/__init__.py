"""Support's view of a person: pure functions over frozen values, without secrets."""
