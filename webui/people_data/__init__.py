"""What is held about one person: exported, erased, brought in from elsewhere."""
