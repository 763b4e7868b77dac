"""Predictions to scores: arrays, protocols, metrics, averages, intervals; everything typed, nothing printed.

`arrays.read` takes the records of a run folder, `score.score` gives the `scores.Scores` of its methods under a
protocol, `compare.compare` compares two runs, and `summary.flatten` names the scores for summary.json. Only
`torch_metric`, PCK for loops of one's own, needs torch.
"""
