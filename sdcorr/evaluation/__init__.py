"""Earlier names of commands: `python -m sdcorr.evaluation.score`, `.compare` and `.report` still work."""
