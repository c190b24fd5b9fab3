"""The quantiser. schemes.py: what layers can compute in; quantize.py: from calibration to graphs; choices.py: the ways
that are tried; note.py: what a package says of it."""
