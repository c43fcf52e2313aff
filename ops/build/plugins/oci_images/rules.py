"""What is made of the targets: each step is a cached run of the builder, keyed by what goes in."""

from __future__ import annotations

from oci_images import builder, documents, images, layers, platforms, publish


def rules():
    return [
        *builder.rules(),
        *layers.rules(),
        *platforms.rules(),
        *documents.rules(),
        *images.rules(),
        *publish.rules(),
    ]
