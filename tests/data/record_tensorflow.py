"""Records what TensorFlow makes of ARM's keyword-spotting graphs: python tests/data/record_tensorflow.py

For every clip of kws_raw_audio: the features (the graph's own DecodeWav, AudioSpectrogram and Mfcc) and the softmax of
each graph. Run with tensorflow-cpu 2.21 and the data beside the repository.
"""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import tensorflow as tf

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[2] / "shared" / "data"
GRAPHS = ("arm_ds_cnn_s", "arm_cnn_s")


def wav_file(samples: bytes) -> bytes:
    """16 kHz, one channel, 16 bits."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples)
    return buffer.getvalue()


def run(name: str, clips: list[Path]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    definition = tf.compat.v1.GraphDef.FromString((DATA / "tf" / f"{name}.pb").read_bytes())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
    features, scores = [], []
    with tf.compat.v1.Session(graph=graph) as session:
        for clip in clips:
            made = session.run(["Mfcc:0", "labels_softmax:0"], {"wav_data:0": wav_file(clip.read_bytes())})
            features.append(made[0][0])
            scores.append(made[1][0])
    return features, scores


if __name__ == "__main__":
    found = sorted((DATA / "data" / "kws_raw_audio").glob("*.bin"))
    recorded = {name: run(name, found) for name in GRAPHS}
    np.savez_compressed(
        HERE / "tensorflow_kws.npz",
        clips=np.array([clip.name for clip in found]),
        features=np.stack(recorded[GRAPHS[0]][0]),
        **{name: np.stack(scores) for name, (_, scores) in recorded.items()},
    )
