"""The model that comes with acdc."""
