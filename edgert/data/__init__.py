"""Input data for models: samples from files, folders, archives and Python functions.

    for sample in load_samples("images/", model.inputs, model.normalisation):
        outputs = model.run(sample.inputs)

What a source may be: an .npz (arrays by input name), an .npy, a folder of images, of raw .bin tensors or of .npy files,
or module:function, a function that returns an iterable of samples. Every sample is converted to what the input takes
(see edgert.data.convert), checked, and named, so that an error says which one is wrong.
"""

from edgert.data.labels import read_labels
from edgert.data.sample import Normalisation, Sample
from edgert.data.sources import load_files, load_samples

__all__ = ["Normalisation", "Sample", "load_files", "load_samples", "read_labels"]
