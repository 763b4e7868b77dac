"""Simple ways to find a point in another image, with the same interface as the method: what it must beat.

`same_pixel` and `same_box_position` look at no picture, `image_patches` only at colors, and `unet_features`
at the features of the same frozen model without any optimization.
"""
