"""Ways to find a point of one image in another, one file each: the paper's method, and what it is compared with.

`prompt` is the paper, and `read_once` the paper without the UNet in its loop. `same_pixel` and `same_box_position` look
at no picture, `image_patches` only at colors, `unet_features` at the features of the frozen model (DIFT, CleanDIFT),
`vision` at those of any other network, `sd_dino` at both; `fused` joins two. `base` says what a method is, `resources`
what it may draw on; methods that compare features share `features`, `layout` and `peaks`.
"""
