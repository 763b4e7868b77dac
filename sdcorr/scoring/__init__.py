"""Predict, save, score: predictions are records on disk before anything scores them.

`predict.predict` runs a method over a benchmark into a `predictions.PredictionStore`, `score.score` turns the
store's records into a flat summary under a protocol of `protocols`, and `table.print_summary` shows it.
"""
