"""What is written of a study: what was asked, what came of it, what happened."""
