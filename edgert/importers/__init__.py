"""Trained models -> Graph.

formats.py lists the kinds of model and tells them apart. Each framework has a folder: importer.py reads and walks its
source, the other modules hold handlers, a theme each, and end in a table HANDLERS. builder.py is what they emit nodes
with; layers/ holds whole layers that several of them share. A new framework is a folder and a line in formats.py.
"""
