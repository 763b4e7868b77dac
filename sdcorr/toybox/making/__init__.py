"""How the toybox model was made and measured.

`pool` draws the training images and `train` fits the model. `samples` and `words` measure what it has learned,
`model_card` records the results, `idea` and `curve` draw figures, and `showcase` runs all but the training and `curve`.
"""
