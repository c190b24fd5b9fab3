"""Layers that several frameworks have, written once: each emits nodes of the IR through a GraphBuilder."""
