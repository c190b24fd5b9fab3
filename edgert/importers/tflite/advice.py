"""Why the operators without a handler have none, and what a model's author can do about each."""

from __future__ import annotations

UNKNOWN = "edgert has no such operator"
GENERAL_ADVICE = "cut the model before it, or replace it by supported operators before converting to TFLite"

_TEXT = ("it works on texts, which a package has none of", "look words up in the application and feed their numbers")
_CHANCE = ("its result is another in every run", "feed random numbers as an input, or export the model for inference")
_RAGGED = ("its result has a shape that the data decide", "cut the model before it and do this step in the application")

# Operator -> reason and fix.
ADVICE: dict[str, tuple[str, str]] = {
    "HASHTABLE": _TEXT,
    "HASHTABLE_FIND": _TEXT,
    "HASHTABLE_IMPORT": _TEXT,
    "HASHTABLE_LOOKUP": _TEXT,
    "HASHTABLE_SIZE": _TEXT,
    "LSH_PROJECTION": _TEXT,
    "SKIP_GRAM": _TEXT,
    "RANDOM_STANDARD_NORMAL": _CHANCE,
    "RANDOM_UNIFORM": _CHANCE,
    "MULTINOMIAL": _CHANCE,
    "STABLEHLO_RNG_BIT_GENERATOR": _CHANCE,
    "CONCAT_EMBEDDINGS": (UNKNOWN, "use EMBEDDING_LOOKUP (tf.gather) and a concatenation"),
    "EMBEDDING_LOOKUP_SPARSE": _RAGGED,
    "DELEGATE": ("it stands for a part that some delegate has compiled", "convert the file from before the delegate"),
    "REDUCE_WINDOW": (UNKNOWN, "use MAX_POOL_2D or AVERAGE_POOL_2D, or reductions"),
    "STABLEHLO_REDUCE_WINDOW": (UNKNOWN, "convert with TFLite's own operators: pools instead of windows"),
    "STABLEHLO_CUSTOM_CALL": ("only the framework that wrote it knows it", "convert with TFLite's own operators"),
    "STABLEHLO_GATHER": (UNKNOWN, "convert with TFLite's own operators (GATHER, GATHER_ND)"),
    "STABLEHLO_SCATTER": (UNKNOWN, "convert with TFLite's own operators (SCATTER_ND)"),
    "STABLEHLO_SORT": (UNKNOWN, "use TOPK_V2 (tf.math.top_k)"),
}
