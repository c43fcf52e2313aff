"""Request and response models of background jobs."""
