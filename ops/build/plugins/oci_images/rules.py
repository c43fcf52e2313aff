"""The rules of the targets: each step is a cached run of the builder, keyed by its inputs."""

from __future__ import annotations

from oci_images import builder, documents, images, layers, platforms, publish, python_layers


def rules():
    return [
        *builder.rules(),
        *layers.rules(),
        *python_layers.rules(),
        *platforms.rules(),
        *documents.rules(),
        *images.rules(),
        *publish.rules(),
    ]
