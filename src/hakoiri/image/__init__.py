"""The builder of the workspace image, on the host.

Here belong what an image is made of, its content hash, and the steps that make it with the
`docker`, `mmdebstrap`, `pip` and `npm` commands. What runs containers does not belong here.
"""
