"""What a trial has trained, as files that other tools load, and answers from such files."""
