"""Request and response models of the example resource."""
