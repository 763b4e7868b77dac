"""Predict and save: the loop over source images, the records it leaves, and the processes that share it."""
