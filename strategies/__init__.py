"""Fine-tuning methods: one method, one file. Installed as entry points, found by name."""
