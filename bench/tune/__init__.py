"""Trials dispatched: Optuna proposes, Ray Tune runs, the ledger keeps."""
