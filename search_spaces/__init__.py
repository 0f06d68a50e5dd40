"""What is searched per strategy, each range with its source; ``presets/`` holds whole studies."""
