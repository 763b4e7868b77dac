"""The world that ships with sdcorr: drawn things whose parts are known, and a small Stable Diffusion that draws them.

From the brush to the model: `canvas` draws shapes, `palette` and `classes` say what there is, `world` makes one picture
of one seed and `dataset` a benchmark of them. `pool` draws the training pictures, `anatomy` builds the model and
`train` fits it. `samples` and `words` look at what it has learnt, `card` notes it, and `showcase` runs these three.
"""
