"""Commands: from what a user typed to the parts of a run."""
