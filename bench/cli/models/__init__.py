"""Commands by which what was trained leaves its run, and answers."""
