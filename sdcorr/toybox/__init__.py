"""The world that ships with sdcorr: drawings whose parts are known, and a small Stable Diffusion that draws them.

`canvas` draws shapes, `palette` and `classes` define the objects, `world` makes one image from one seed, `dataset`
makes a benchmark of such images, and `anatomy` defines the model. How its weights were made is in `making`.
"""
