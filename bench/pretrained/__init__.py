"""Pretrained models: found, loaded, and shared between the processes of a machine."""
