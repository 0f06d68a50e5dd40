"""Dispatch a study's trials: Optuna proposes, Ray Tune runs. Nothing else imports either."""
