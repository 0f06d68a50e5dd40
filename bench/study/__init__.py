"""What a person asks for, checked whole before anything runs."""
