"""Correspondences that nobody annotated: found by a method in pictures alone, filtered, and written as a data set.

`points` chooses what is looked for in a picture, `evidence` says what speaks for a match beside the method's own
confidence, `filters` what is kept, `labeler` does a source picture, `folder` keeps the labels, `work` is the loop,
`datasheet` and `sheet` say and show what came of it.
"""
