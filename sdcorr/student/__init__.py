"""A network that needs no optimization: trained from pseudo-labels, it reads a picture once and finds any point.

`labels` and `clusters` are what it learns from, `warps` and `losses` how, `training` the Lightning experiment,
`small`, `adapter` and `lora` the kinds of networks, `files` how one is kept, and `exporting` how it leaves Python.
"""
