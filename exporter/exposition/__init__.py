"""The evaluation as metrics: catalogue, renderer, publication."""
