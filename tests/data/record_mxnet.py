"""Records what mxnet 1.9.1 computes, as mxnet_ops.npz beside this file; tests/importers/test_mxnet_ops.py reads it.

    python3.11 -m venv mx && mx/bin/pip install numpy==1.23.5 mxnet==1.9.1
    mx/bin/python tests/data/record_mxnet.py

Every case is a symbol with its parameters (the bytes of both files), its inputs and outputs.
"""

from __future__ import annotations

import json
import tempfile
import warnings
import zlib
from pathlib import Path

import mxnet as mx
import numpy as np

S = mx.sym
X = S.var("data")
Y = S.var("other")
IMAGE = (2, 4, 5, 6)


def contrib(name, *args, **kwargs):
    return getattr(S.contrib, name)(*args, **kwargs)


def unrolled(cell, steps):
    outputs, _ = cell.unroll(steps, X, layout="NTC", merge_outputs=True)
    return outputs


def bidirectional(make):
    return mx.rnn.BidirectionalCell(make("l_"), make("r_"))


def fused(mode, layers=2, both=True):
    cell = mx.rnn.FusedRNNCell(5, num_layers=layers, mode=mode, bidirectional=both, prefix=f"{mode}_")
    return unrolled(cell, 4)


def with_states(mode):
    states = [S.var("state")] + ([S.var("cell")] if mode == "lstm" else [])
    names = ("state", "state_cell")
    kwargs = dict(zip(names, states, strict=False))
    return S.RNN(X, parameters=S.var("parameters"), state_size=3, num_layers=2, mode=mode, state_outputs=True, **kwargs)


def cases():
    """name -> (symbol, shapes of the inputs)"""
    one, same = {"data": IMAGE}, {"data": IMAGE, "other": IMAGE}
    channel = {"data": IMAGE, "other": (1, 4, 1, 1)}
    every = {}

    def case(name, symbol, shapes=one):
        every[name] = (symbol, shapes)

    case("conv", S.Convolution(X, kernel=(3, 3), num_filter=6, pad=(1, 1), stride=(2, 2)))
    case("conv_no_bias_group", S.Convolution(X, kernel=(3, 2), num_filter=8, num_group=2, no_bias=True, dilate=(2, 1)))
    case("conv_depthwise", S.Convolution(X, kernel=(3, 3), num_filter=4, num_group=4, pad=(1, 0)))
    case("conv_1d", S.Convolution(X, kernel=(3,), num_filter=5, stride=(2,)), {"data": (1, 4, 11)})
    case("conv_3d", S.Convolution(X, kernel=(2, 3, 3), num_filter=5), {"data": (1, 3, 4, 6, 6)})
    case("deconv", S.Deconvolution(X, kernel=(4, 4), num_filter=3, stride=(2, 2), pad=(1, 1)))
    case(
        "deconv_adj",
        S.Deconvolution(X, kernel=(3, 3), num_filter=3, stride=(2, 2), pad=(1, 1), adj=(1, 1), no_bias=False),
    )
    wide = S.Cast(X, dtype="float64")  # in float32 MXNet's own library refuses it
    wide = S.Deconvolution(wide, kernel=(3, 3), num_filter=3, stride=(2, 2), target_shape=(9, 12))
    case("deconv_target", S.Cast(wide, dtype="float32"))
    case("deconv_group", S.Deconvolution(X, kernel=(2, 2), num_filter=4, num_group=2, stride=(2, 2)))
    for kind in ("max", "avg", "sum"):
        case(f"pool_{kind}", S.Pooling(X, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type=kind))
        case(f"pool_global_{kind}", S.Pooling(X, kernel=(1, 1), global_pool=True, pool_type=kind))
    for kind in ("max", "avg"):
        case(f"pool_full_{kind}", S.Pooling(X, kernel=(2, 3), stride=(2, 2), pooling_convention="full", pool_type=kind))
        case(
            f"pool_full_pad_{kind}",
            S.Pooling(X, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pooling_convention="full", pool_type=kind),
        )
    case("pool_apart", S.Pooling(X, kernel=(3, 3), pad=(1, 1), pool_type="avg", count_include_pad=False))
    case("pool_1d", S.Pooling(X, kernel=(3,), stride=(2,), pool_type="avg"), {"data": (2, 3, 9)})
    case("batch_norm", S.BatchNorm(X, fix_gamma=False, eps=1e-4))
    case("batch_norm_fixed", S.BatchNorm(X))
    case("batch_norm_axis", S.BatchNorm(X, axis=3, fix_gamma=False))
    case("instance_norm", S.InstanceNorm(X, eps=1e-2))
    case("layer_norm", S.LayerNorm(X))
    case("layer_norm_axis", S.LayerNorm(X, axis=1, eps=1e-3))
    case("group_norm", S.GroupNorm(X, num_groups=2))
    for mode in ("instance", "channel", "spatial"):
        case(f"l2_{mode}", S.L2Normalization(X, mode=mode))
    case("lrn", S.LRN(X, nsize=3, alpha=0.01, knorm=1.5))
    for kind in ("relu", "sigmoid", "tanh", "softrelu", "softsign"):
        case(f"act_{kind}", S.Activation(X, act_type=kind))
    for kind in ("leaky", "prelu", "elu", "selu", "gelu", "rrelu"):
        case(f"leaky_{kind}", S.LeakyReLU(X, act_type=kind, slope=0.3)[0])
    case("softmax_output", S.SoftmaxOutput(X, name="softmax"), {"data": (2, 5)})
    case("softmax_output_multi", S.SoftmaxOutput(X, multi_output=True))
    case("softmax_output_flat", S.SoftmaxOutput(X))
    case("softmax_output_kept", S.SoftmaxOutput(X, preserve_shape=True))
    case("softmax", S.softmax(X, axis=1, temperature=2.0))
    case("softmin", S.softmin(X))
    case("log_softmax", S.log_softmax(X, axis=-1))
    case("softmax_activation", S.SoftmaxActivation(X))
    case("softmax_activation_channel", S.SoftmaxActivation(X, mode="channel"))
    case("logistic_output", S.LogisticRegressionOutput(X), {"data": (2, 3)})
    case("fully_connected", S.FullyConnected(X, num_hidden=5))
    case("fully_connected_last", S.FullyConnected(X, num_hidden=5, flatten=False, no_bias=True))
    case("concat", S.Concat(X, Y, dim=2), same)
    case("split", S.Group(list(S.SliceChannel(X, num_outputs=2))))
    case("split_squeezed", S.Group(list(S.split(X, num_outputs=4, axis=1, squeeze_axis=True))))
    case("split_v2", S.Group(list(S.split_v2(X, indices_or_sections=(2, 3), axis=2))))
    case("slice_axis", S.slice_axis(X, axis=3, begin=1, end=-2))
    case("slice", S.slice(X, begin=(None, 1, 4), end=(None, 3, None), step=(None, 1, -2)))
    case("slice_like", S.slice_like(X, Y, axes=(2, 3)), {"data": IMAGE, "other": (2, 4, 3, 5)})
    case("crop", S.Crop(X, offset=(1, 2), h_w=(3, 3), num_args=1))
    case("crop_like", S.Crop(X, Y, num_args=2, center_crop=True), {"data": IMAGE, "other": (2, 4, 3, 5)})
    for index, shape in enumerate([(0, -1), (-2,), (-3, -3), (0, -4, 2, 2, -2), (-4, -1, 2, 0, -3), (2, 2, -1)]):
        case(f"reshape_{index}", S.Reshape(X, shape=shape))
    case("reshape_reverse", S.Reshape(X, shape=(-1, 0, 0), reverse=True))
    case("flatten", S.Flatten(X))
    case("transpose", S.transpose(X, axes=(0, 2, 3, 1)))
    case("transpose_all", S.transpose(X))
    case("swap_axis", S.SwapAxis(X, dim1=1, dim2=3))
    case("expand_dims", S.expand_dims(X, axis=-1))
    case("squeeze", S.squeeze(X), {"data": (2, 1, 3, 1)})
    for mode in ("constant", "edge", "reflect"):
        case(f"pad_{mode}", S.Pad(X, pad_width=(0, 0, 0, 0, 1, 2, 3, 1), mode=mode, constant_value=0.5))
    case("tile", S.tile(X, reps=(2, 1, 3)), {"data": (2, 3)})
    case("repeat", S.repeat(X, repeats=3, axis=1), {"data": (2, 3, 2)})
    case("stack", S.stack(X, Y, axis=1), same)
    case("reverse", S.reverse(X, axis=(1, 3)))
    case("broadcast_to", S.broadcast_to(X, shape=(2, 0, 4)), {"data": (1, 3, 1)})
    case("broadcast_axis", S.broadcast_axis(X, axis=(0, 2), size=(2, 4)), {"data": (1, 3, 1)})
    case("broadcast_like", S.broadcast_like(X, Y), {"data": (1, 3, 1), "other": (2, 3, 4)})
    case("depth_to_space", S.depth_to_space(X, block_size=2))
    case("space_to_depth", S.space_to_depth(X, block_size=2), {"data": (1, 3, 4, 6)})
    for name in ("add", "sub", "mul", "div", "maximum", "minimum", "hypot", "mod", "greater", "lesser_equal", "equal"):
        case(f"broadcast_{name}", getattr(S, f"broadcast_{name}")(X, Y), channel)
    case("broadcast_power", S.broadcast_power(S.abs(X), Y), channel)
    case("logical", S.broadcast_logical_xor(X > 0, S.broadcast_logical_and(X, Y > 0)), channel)
    case("elemwise", (X + Y) * (X - Y) / (Y * Y + 2), same)
    case("scalars", (2 - X) * 3 + 1 / (X + 5) - (X**2) / 2 + 2**X)
    case("compare_scalars", (X > 0.2) + (X <= 0.5) * 2 + (1 - (X != 0)) + S.logical_not(X > 0))
    case("add_n", S.add_n(X, Y, X), same)
    case("where", S.where(X > 0, X, Y), same)
    functions = (
        "abs ceil floor rint exp sin cos erf negative sign square tanh relu sigmoid softsign reciprocal hard_sigmoid "
        "smooth_l1 identity BlockGrad Dropout"
    )
    for name in functions.split():
        case(f"unary_{name}", getattr(S, name)(X))
    case("logarithms", S.sqrt(S.abs(X)) + S.log(S.abs(X) + 1) + S.log2(S.abs(X) + 2) + S.rsqrt(S.abs(X) + 1))
    case("clip", S.clip(X, a_min=-0.5, a_max=0.7))
    case("cast", S.Cast(S.Cast(X * 3, dtype="int32"), dtype="float32"))
    for name in ("sum", "mean", "max", "min", "prod"):
        case(f"{name}", getattr(S, name)(X, axis=(2, 3)))
    case("mean_kept", S.mean(X, axis=1, keepdims=True))
    case("sum_all", S.sum(X))
    case("max_exclude", S.max(X, axis=1, exclude=True))
    case("norm", S.norm(X, axis=1, keepdims=True))
    case("dot", S.dot(X, S.var("matrix_weight", shape=(6, 5))))
    case("dot_transposed", S.dot(X, Y, transpose_a=True, transpose_b=True), {"data": (4, 3), "other": (5, 4)})
    case("batch_dot", S.batch_dot(X, Y, transpose_b=True), {"data": (2, 3, 4), "other": (2, 5, 4)})
    case("gemm2", S.linalg.gemm2(X, Y, transpose_a=True, alpha=0.5), {"data": (2, 4, 3), "other": (2, 4, 5)})
    indices = S.floor(S.abs(X) * 3)
    case("embedding", S.Embedding(indices, input_dim=6, output_dim=4), {"data": (2, 5)})
    case("take", S.take(S.var("table_weight", shape=(6, 3)), indices), {"data": (2, 5)})
    case("one_hot", S.one_hot(indices, depth=5, on_value=2.0), {"data": (2, 5)})
    case("argmax", S.argmax(X, axis=1))
    case("argmin_kept", S.argmin(X, axis=2, keepdims=True))
    case("argmax_channel", S.argmax_channel(X), {"data": (4, 6)})
    case("topk", S.Group(list(S.topk(X, k=3, ret_typ="both", axis=3))))
    case("topk_ascending", S.topk(X, k=2, ret_typ="indices", is_ascend=True, axis=1))
    case("sort", S.sort(X, axis=2))
    case("upsampling", S.UpSampling(X, scale=2, sample_type="nearest"))
    case(
        "upsampling_bilinear",
        S.UpSampling(
            X, S.var("up_weight", shape=(4, 1, 4, 4)), scale=2, sample_type="bilinear", num_filter=4, num_args=2
        ),
    )
    case("resize_aligned", contrib("BilinearResize2D", X, height=7, width=9))
    case("resize", contrib("BilinearResize2D", X, height=7, width=9, align_corners=False))
    case("adaptive_pool", contrib("AdaptiveAvgPooling2D", X, output_size=(3, 4)))
    case("adaptive_pool_one", contrib("AdaptiveAvgPooling2D", X))
    case("constants", S.broadcast_add(X, S.arange(6)) + S.zeros(IMAGE) * 2 + S.ones_like(X))
    case("div_sqrt_dim", contrib("div_sqrt_dim", X))
    case("attention_scores", contrib("interleaved_matmul_selfatt_qk", X, heads=2), {"data": (5, 2, 24)})
    case(
        "attention_values",
        contrib("interleaved_matmul_selfatt_valatt", X, Y, heads=2),
        {"data": (5, 2, 24), "other": (4, 5, 5)},
    )
    case("anchors", contrib("MultiBoxPrior", X, sizes=(0.3, 0.5), ratios=(1, 2, 0.5)))
    case(
        "anchors_clipped",
        contrib("MultiBoxPrior", X, sizes=(0.7,), ratios=(2, 1), clip=True, steps=(0.2, 0.1), offsets=(0.1, 0.4)),
    )
    anchors = contrib("MultiBoxPrior", S.zeros((1, 1, 3, 4)), sizes=(0.4, 0.6), ratios=(1, 2))
    detector = {"data": (1, 4, 36), "other": (1, 144)}
    for name, options in (("", {}), ("_forced", {"force_suppress": True}), ("_topk", {"nms_topk": 9})):
        chances = S.softmax(X * 3, axis=1)
        boxes = contrib("MultiBoxDetection", chances, Y, anchors, nms_threshold=0.3, threshold=0.35, **options)
        case(f"detection{name}", boxes, detector)
    label, score, corner = (S.slice_axis(X, axis=2, begin=a, end=b) for a, b in ((0, 1), (1, 2), (2, 4)))
    rows = S.concat(S.maximum(S.floor(label * 2), -1), score, corner, corner + 0.6, dim=2)
    for name, options in (("", {}), ("_forced", {"force_suppress": True}), ("_topk", {"topk": 8})):
        case(f"nms{name}", contrib("box_nms", rows, overlap_thresh=0.3, id_index=0, **options), {"data": (1, 20, 4)})
    unlabelled = S.slice_axis(rows, axis=2, begin=1, end=6)
    case(
        "nms_unlabelled",
        contrib("box_nms", unlabelled, coord_start=1, score_index=0, overlap_thresh=0.2),
        {"data": (1, 20, 4)},
    )
    crossed = contrib("interleaved_matmul_encdec_qk", X, Y, heads=2)
    case("cross_scores", crossed, {"data": (3, 2, 8), "other": (5, 2, 16)})
    mixed = contrib("interleaved_matmul_encdec_valatt", X, Y, heads=2)
    case("cross_values", mixed, {"data": (5, 2, 16), "other": (4, 3, 5)})
    case("amp_multicast", S.Group(list(S.amp_multicast(X, Y, num_outputs=2))), same)
    affine = {"data": IMAGE, "other": (2, 6)}
    case(
        "transformer",
        S.SpatialTransformer(X, Y, target_shape=(4, 7), transform_type="affine", sampler_type="bilinear"),
        affine,
    )
    grid = S.GridGenerator(Y, transform_type="affine", target_shape=(3, 5))
    case("sampler", S.BilinearSampler(X, grid), affine)
    case("warped", S.GridGenerator(X, transform_type="warp"), {"data": (1, 2, 4, 5)})
    case("gather_nd", S.gather_nd(X, S.floor(S.clip(S.abs(Y) * 2, 0, 1))), {"data": (2, 3, 4), "other": (2, 5)})
    case("pick", S.pick(X, S.floor(Y * 4), axis=1), {"data": (3, 4, 2), "other": (3, 2)})
    case("pick_kept", S.pick(X, Y, keepdims=True), {"data": (3, 4), "other": (3,)})
    sequence = {"data": (2, 4, 3)}
    case("sequence_mask", S.SequenceMask(X), sequence)
    case("sequence_last", S.SequenceLast(X, axis=1), sequence)
    case("sequence_reverse", S.SequenceReverse(X), sequence)
    case("arange_like", S.broadcast_add(X, contrib("arange_like", X, axis=1, start=2)), {"data": (4, 4)})
    case("arange_like_all", contrib("arange_like", X, step=0.5), {"data": (2, 3)})
    case("log1p", S.log1p(S.abs(X)) + S.expm1(X))
    for mode in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
        case(f"fused_{mode}", fused(mode), sequence)
    case("lstm_states", with_states("lstm"), {"data": (4, 2, 3), "state": (2, 2, 3), "cell": (2, 2, 3)})
    case("gru_states", with_states("gru"), {"data": (4, 2, 3), "state": (2, 2, 3)})
    one_by_one = {"data": (1, 3, 4)}
    case("lstm_cell", unrolled(mx.rnn.LSTMCell(4, prefix="c_"), 3), one_by_one)
    case("gru_cell", unrolled(mx.rnn.GRUCell(4, prefix="c_"), 3), one_by_one)
    case("bidirectional_cell", unrolled(bidirectional(lambda p: mx.rnn.RNNCell(4, prefix=p)), 3), one_by_one)
    return every


def network():
    """A small residual network as Gluon exports it."""
    gluon = mx.gluon.nn
    net = gluon.HybridSequential()
    net.add(gluon.Conv2D(8, 3, padding=1, use_bias=False), gluon.BatchNorm(), gluon.Activation("relu"))
    net.add(mx.gluon.model_zoo.vision.BasicBlockV2(8, 1, in_channels=8), gluon.GlobalAvgPool2D(), gluon.Flatten())
    net.add(gluon.Dense(5), gluon.Dropout(0.5))
    return net


def gluon_case(folder):
    net = network()
    net.initialize(mx.init.Normal(0.3))
    net.hybridize()
    x = mx.nd.random.normal(shape=(1, 3, 10, 12))
    y = net(x)
    net.export(str(folder / "gluon"))
    return {"data": x.asnumpy()}, [y.asnumpy()]


def record(folder, name, symbol, shapes, rng):
    """Writes both files, and gives inputs and outputs."""
    arguments, _, statistics = symbol.infer_shape(**shapes)
    inputs = {key: rng.normal(0, 0.8, shape).astype(np.float32) for key, shape in shapes.items()}
    params = {}
    types, _, _ = symbol.infer_type(**dict.fromkeys(inputs, np.float32))
    types = types or [np.float32] * len(arguments)
    for key, shape, kind in zip(symbol.list_arguments(), arguments, types, strict=True):
        if key not in inputs and not key.endswith("label"):
            params[key] = mx.nd.array(rng.normal(0, 0.4, shape), dtype=kind)
    states = {key: mx.nd.array(rng.uniform(0.5, 1.5, shape).astype(np.float32))
              for key, shape in zip(symbol.list_auxiliary_states(), statistics, strict=True)}  # fmt: skip
    shapes_of = dict(zip(symbol.list_arguments(), arguments, strict=True))
    labels = {key: mx.nd.zeros(shape) for key, shape in shapes_of.items() if key.endswith("label")}
    given = {key: mx.nd.array(array) for key, array in inputs.items()}
    made = symbol.bind(mx.cpu(), {**given, **params, **labels}, aux_states=states, grad_req="null").forward(
        is_train=False
    )
    mx.model.save_checkpoint(str(folder / name), 0, symbol, params, states)
    return inputs, [item.asnumpy() for item in made]


def main():
    warnings.filterwarnings("ignore")
    mx.random.seed(1)
    arrays, index = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        results = {"gluon": gluon_case(folder)}
        for name, (symbol, shapes) in cases().items():
            rng = np.random.default_rng(zlib.crc32(name.encode()))
            results[name] = record(folder, name, symbol, shapes, rng)
        for name, (inputs, outputs) in results.items():
            arrays[f"{name}/params"] = np.frombuffer((folder / f"{name}-0000.params").read_bytes(), np.uint8)
            index[name] = {
                "symbol": (folder / f"{name}-symbol.json").read_text(),
                "inputs": list(inputs),
                "outputs": len(outputs),
            }
            arrays.update({f"{name}/in/{key}": array for key, array in inputs.items()})
            arrays.update({f"{name}/out/{place}": array for place, array in enumerate(outputs)})
    arrays["index"] = np.frombuffer(json.dumps(index).encode(), np.uint8)
    np.savez_compressed(Path(__file__).with_name("mxnet_ops.npz"), **arrays)


if __name__ == "__main__":
    main()
