"""The pure core: what may become of what."""
