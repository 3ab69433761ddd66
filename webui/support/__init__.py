"""What support staff are shown of a person: pure functions over frozen values, without secrets."""
