"""The messages of Caffe's .prototxt files that the importer reads.

Names are those of BVLC's caffe.proto and, for fields that came from forks (SSD, NVIDIA, Interp, ...), of theirs; what a
fork calls otherwise is passed over. So are fields that only training or the choice of an implementation needs (fillers,
engine, learning rates): they are not listed.
"""

from __future__ import annotations

import functools

from edgert.importers.caffe.message import Message, Spec, read_specs

# As edgert.importers.caffe.message.read_specs reads them.
STATE = """
NetState: phase {TRAIN=0 TEST=1}, level int32, stage string*
NetStateRule: phase {TRAIN=0 TEST=1}, min_level int32, max_level int32, stage string*, not_stage string*
BlobShape: dim int64*
ParamSpec: name string
"""
PARAMETERS = """
TransformationParameter: scale float =1, crop_size uint32, mean_file string, mean_value float*
ArgMaxParameter: out_max_val bool, top_k uint32 =1, axis int32
BatchNormParameter: use_global_stats bool, eps float =1e-5, scale_bias bool
BiasParameter: axis int32 =1, num_axes int32 =1
BNParameter: eps float =1e-5
ConcatParameter: axis int32 =1, concat_dim uint32 =1
ConvolutionParameter: num_output uint32, bias_term bool =true, pad uint32*, kernel_size uint32*, group uint32 =1,
  stride uint32*, pad_h uint32, pad_w uint32, kernel_h uint32, kernel_w uint32, stride_h uint32, stride_w uint32,
  axis int32 =1, dilation uint32*
ClipParameter: min float, max float
CropParameter: axis int32 =2, offset uint32*
DataParameter: batch_size uint32, crop_size uint32
DetectionOutputParameter: num_classes uint32, share_location bool =true, background_label_id int32,
  nms_param NonMaximumSuppressionParameter, code_type {CORNER=1 CENTER_SIZE=2 CORNER_SIZE=3} =CORNER,
  keep_top_k int32 =-1, variance_encoded_in_target bool, confidence_threshold float
NonMaximumSuppressionParameter: nms_threshold float =0.3, top_k int32, eta float =1
EltwiseParameter: operation {PROD=0 SUM=1 MAX=2} =SUM, coeff float*
ELUParameter: alpha float =1
EmbedParameter: num_output uint32, input_dim uint32, bias_term bool =true
ExpParameter: base float =-1, scale float =1, shift float
FlattenParameter: axis int32 =1, end_axis int32 =-1
ImageDataParameter: batch_size uint32, crop_size uint32, new_height uint32, new_width uint32, is_color bool =true
InnerProductParameter: num_output uint32, bias_term bool =true, axis int32 =1, transpose bool
InputParameter: shape BlobShape*
InterpParameter: height int32, width int32, zoom_factor int32, shrink_factor int32, pad_beg int32, pad_end int32
LogParameter: base float =-1, scale float =1, shift float
LRNParameter: local_size uint32 =5, alpha float =1, beta float =0.75,
  norm_region {ACROSS_CHANNELS=0 WITHIN_CHANNEL=1}, k float =1
MemoryDataParameter: batch_size uint32, channels uint32, height uint32, width uint32
MVNParameter: normalize_variance bool =true, across_channels bool, eps float =1e-9
NormalizeBBoxParameter: across_spatial bool =true, channel_shared bool =true, eps float =1e-10
ParameterParameter: shape BlobShape
PermuteParameter: order uint32*
PoolingParameter: pool {MAX=0 AVE=1 STOCHASTIC=2}, kernel_size uint32, stride uint32 =1, pad uint32, kernel_h uint32,
  kernel_w uint32, stride_h uint32, stride_w uint32, pad_h uint32, pad_w uint32, global_pooling bool,
  round_mode {CEIL=0 FLOOR=1}, ceil_mode bool =true
PowerParameter: power float =1, scale float =1, shift float
PReLUParameter: channel_shared bool
PriorBoxParameter: min_size float*, max_size float*, aspect_ratio float*, flip bool =true, clip bool, variance float*,
  img_size uint32, img_h uint32, img_w uint32, step float, step_h float, step_w float, offset float =0.5
ReductionParameter: operation {SUM=1 ASUM=2 SUMSQ=3 MEAN=4} =SUM, axis int32, coeff float =1
ReLUParameter: negative_slope float
ReshapeParameter: shape BlobShape, axis int32, num_axes int32 =-1
ScaleParameter: axis int32 =1, num_axes int32 =1, bias_term bool
ShuffleChannelParameter: group uint32
SliceParameter: slice_dim uint32 =1, slice_point uint32*, axis int32 =1
SoftmaxParameter: axis int32 =1
ThresholdParameter: threshold float
SwishParameter: beta float =1
TileParameter: axis int32 =1, tiles int32
UpsampleParameter: scale int32, scale_h int32, scale_w int32, upsample_h int32, upsample_w int32
"""
LAYERS = """
LayerParameter: name string, type string, bottom string*, top string*, param ParamSpec*, include NetStateRule*,
  exclude NetStateRule*, transform_param TransformationParameter, argmax_param ArgMaxParameter,
  concat_param ConcatParameter, convolution_param ConvolutionParameter, data_param DataParameter,
  eltwise_param EltwiseParameter, exp_param ExpParameter, image_data_param ImageDataParameter,
  inner_product_param InnerProductParameter, lrn_param LRNParameter, memory_data_param MemoryDataParameter,
  mvn_param MVNParameter, pooling_param PoolingParameter, power_param PowerParameter, relu_param ReLUParameter,
  softmax_param SoftmaxParameter, slice_param SliceParameter, threshold_param ThresholdParameter,
  prelu_param PReLUParameter, reshape_param ReshapeParameter, log_param LogParameter, flatten_param FlattenParameter,
  reduction_param ReductionParameter, embed_param EmbedParameter, tile_param TileParameter,
  batch_norm_param BatchNormParameter, elu_param ELUParameter, bias_param BiasParameter, scale_param ScaleParameter,
  input_param InputParameter, crop_param CropParameter, parameter_param ParameterParameter,
  detection_output_param DetectionOutputParameter, permute_param PermuteParameter, norm_param NormalizeBBoxParameter,
  prior_box_param PriorBoxParameter, bn_param BNParameter, interp_param InterpParameter,
  shuffle_channel_param ShuffleChannelParameter, upsample_param UpsampleParameter, clip_param ClipParameter,
  swish_param SwishParameter
V1LayerParameter: bottom string*, top string*, name string, type {%(v1)s}, concat_param ConcatParameter,
  convolution_param ConvolutionParameter, data_param DataParameter, image_data_param ImageDataParameter,
  inner_product_param InnerProductParameter, lrn_param LRNParameter, pooling_param PoolingParameter,
  power_param PowerParameter, memory_data_param MemoryDataParameter, argmax_param ArgMaxParameter,
  eltwise_param EltwiseParameter, threshold_param ThresholdParameter, relu_param ReLUParameter,
  slice_param SliceParameter, include NetStateRule*, exclude NetStateRule*, mvn_param MVNParameter,
  transform_param TransformationParameter, softmax_param SoftmaxParameter, exp_param ExpParameter, param string*
NetParameter: name string, layers V1LayerParameter*, input string*, input_dim int32*, state NetState,
  input_shape BlobShape*, layer LayerParameter*
"""
# Layer types of V1 files: number, name there, name since.
V1_TYPES = (
    (35, "ABSVAL", "AbsVal"), (1, "ACCURACY", "Accuracy"), (30, "ARGMAX", "ArgMax"), (2, "BNLL", "BNLL"),
    (3, "CONCAT", "Concat"), (37, "CONTRASTIVE_LOSS", "ContrastiveLoss"), (4, "CONVOLUTION", "Convolution"),
    (5, "DATA", "Data"), (39, "DECONVOLUTION", "Deconvolution"), (6, "DROPOUT", "Dropout"),
    (32, "DUMMY_DATA", "DummyData"), (7, "EUCLIDEAN_LOSS", "EuclideanLoss"), (25, "ELTWISE", "Eltwise"),
    (38, "EXP", "Exp"), (8, "FLATTEN", "Flatten"), (9, "HDF5_DATA", "HDF5Data"), (10, "HDF5_OUTPUT", "HDF5Output"),
    (28, "HINGE_LOSS", "HingeLoss"), (11, "IM2COL", "Im2col"), (12, "IMAGE_DATA", "ImageData"),
    (13, "INFOGAIN_LOSS", "InfogainLoss"), (14, "INNER_PRODUCT", "InnerProduct"), (15, "LRN", "LRN"),
    (29, "MEMORY_DATA", "MemoryData"), (16, "MULTINOMIAL_LOGISTIC_LOSS", "MultinomialLogisticLoss"),
    (34, "MVN", "MVN"), (17, "POOLING", "Pooling"), (26, "POWER", "Power"), (18, "RELU", "ReLU"),
    (19, "SIGMOID", "Sigmoid"), (27, "SIGMOID_CROSS_ENTROPY_LOSS", "SigmoidCrossEntropyLoss"),
    (36, "SILENCE", "Silence"), (20, "SOFTMAX", "Softmax"), (21, "SOFTMAX_LOSS", "SoftmaxWithLoss"),
    (22, "SPLIT", "Split"), (33, "SLICE", "Slice"), (23, "TANH", "TanH"), (24, "WINDOW_DATA", "WindowData"),
    (31, "THRESHOLD", "Threshold"),
)  # fmt: skip
MODERN_TYPES = {number: name for number, _, name in V1_TYPES}


@functools.cache
def _specs() -> dict[str, Spec]:
    v1 = " ".join(["NONE=0", *(f"{name}={number}" for number, name, _ in V1_TYPES)])
    return read_specs(STATE + PARAMETERS + LAYERS % {"v1": v1})


def new_network() -> Message:
    """An empty NetParameter."""
    return Message("NetParameter", _specs())
