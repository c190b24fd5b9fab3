"""The messages of Caffe's .prototxt files that the importer reads, as classes made at run time.

They live in a descriptor pool of their own, so that nothing clashes with another copy of caffe.proto in the process.
Names and numbers are those of BVLC's caffe.proto and, for fields that came from forks (SSD, NVIDIA, Interp, ...), of
theirs. Text files go by name alone (numbers above 1000 are made up): what a fork calls otherwise is skipped. Fields
that only training or the choice of an implementation needs (fillers, engine, learning rates) are left out, and so
skipped too.
"""

from __future__ import annotations

import functools
from typing import Any

from edgert.errors import MissingExtraError

# A message: "Name: field number type[*] [=default], ...", continued on indented lines. A type is a scalar of protobuf,
# another message, or {A=0 B=1}; * is repeated, ! repeated and packed.
STATE = """
NetState: phase 1 {TRAIN=0 TEST=1}, level 2 int32, stage 3 string*
NetStateRule: phase 1 {TRAIN=0 TEST=1}, min_level 2 int32, max_level 3 int32, stage 4 string*, not_stage 5 string*
BlobShape: dim 1 int64!
ParamSpec: name 1 string
"""
PARAMETERS = """
TransformationParameter: scale 1 float =1, crop_size 3 uint32, mean_file 4 string, mean_value 5 float*
ArgMaxParameter: out_max_val 1 bool, top_k 2 uint32 =1, axis 3 int32
BatchNormParameter: use_global_stats 1 bool, eps 3 float =1e-5, scale_bias 7 bool
BiasParameter: axis 1 int32 =1, num_axes 2 int32 =1
BNParameter: eps 4 float =1e-5
ConcatParameter: axis 2 int32 =1, concat_dim 1 uint32 =1
ConvolutionParameter: num_output 1 uint32, bias_term 2 bool =true, pad 3 uint32*, kernel_size 4 uint32*,
  group 5 uint32 =1, stride 6 uint32*, pad_h 9 uint32, pad_w 10 uint32, kernel_h 11 uint32, kernel_w 12 uint32,
  stride_h 13 uint32, stride_w 14 uint32, axis 16 int32 =1, dilation 18 uint32*
ClipParameter: min 1 float, max 2 float
CropParameter: axis 1 int32 =2, offset 2 uint32*
DataParameter: batch_size 4 uint32, crop_size 5 uint32
DetectionOutputParameter: num_classes 1 uint32, share_location 2 bool =true, background_label_id 3 int32,
  nms_param 4 NonMaximumSuppressionParameter, code_type 6 {CORNER=1 CENTER_SIZE=2 CORNER_SIZE=3} =CORNER,
  keep_top_k 7 int32 =-1, variance_encoded_in_target 8 bool, confidence_threshold 9 float
NonMaximumSuppressionParameter: nms_threshold 1 float =0.3, top_k 2 int32, eta 3 float =1
EltwiseParameter: operation 1 {PROD=0 SUM=1 MAX=2} =SUM, coeff 2 float*
ELUParameter: alpha 1 float =1
EmbedParameter: num_output 1 uint32, input_dim 2 uint32, bias_term 3 bool =true
ExpParameter: base 1 float =-1, scale 2 float =1, shift 3 float
FlattenParameter: axis 1 int32 =1, end_axis 2 int32 =-1
ImageDataParameter: batch_size 4 uint32, crop_size 5 uint32, new_height 9 uint32, new_width 10 uint32,
  is_color 11 bool =true
InnerProductParameter: num_output 1 uint32, bias_term 2 bool =true, axis 5 int32 =1, transpose 6 bool
InputParameter: shape 1 BlobShape*
InterpParameter: height 1 int32, width 2 int32, zoom_factor 3 int32, shrink_factor 4 int32, pad_beg 5 int32,
  pad_end 6 int32
LogParameter: base 1 float =-1, scale 2 float =1, shift 3 float
LRNParameter: local_size 1 uint32 =5, alpha 2 float =1, beta 3 float =0.75,
  norm_region 4 {ACROSS_CHANNELS=0 WITHIN_CHANNEL=1}, k 5 float =1
MemoryDataParameter: batch_size 1 uint32, channels 2 uint32, height 3 uint32, width 4 uint32
MVNParameter: normalize_variance 1 bool =true, across_channels 2 bool, eps 3 float =1e-9
NormalizeBBoxParameter: across_spatial 1 bool =true, channel_shared 3 bool =true, eps 4 float =1e-10
ParameterParameter: shape 1 BlobShape
PermuteParameter: order 1 uint32*
PoolingParameter: pool 1 {MAX=0 AVE=1 STOCHASTIC=2}, kernel_size 2 uint32, stride 3 uint32 =1, pad 4 uint32,
  kernel_h 5 uint32, kernel_w 6 uint32, stride_h 7 uint32, stride_w 8 uint32, pad_h 9 uint32, pad_w 10 uint32,
  global_pooling 12 bool, round_mode 13 {CEIL=0 FLOOR=1}, ceil_mode 14 bool =true
PowerParameter: power 1 float =1, scale 2 float =1, shift 3 float
PReLUParameter: channel_shared 2 bool
PriorBoxParameter: min_size 1 float*, max_size 2 float*, aspect_ratio 3 float*, flip 4 bool =true, clip 5 bool,
  variance 6 float*, img_size 7 uint32, img_h 8 uint32, img_w 9 uint32, step 10 float, step_h 11 float,
  step_w 12 float, offset 13 float =0.5
ReductionParameter: operation 1 {SUM=1 ASUM=2 SUMSQ=3 MEAN=4} =SUM, axis 2 int32, coeff 3 float =1
ReLUParameter: negative_slope 1 float
ReshapeParameter: shape 1 BlobShape, axis 2 int32, num_axes 3 int32 =-1
ScaleParameter: axis 1 int32 =1, num_axes 2 int32 =1, bias_term 4 bool
ShuffleChannelParameter: group 1 uint32
SliceParameter: slice_dim 1 uint32 =1, slice_point 2 uint32*, axis 3 int32 =1
SoftmaxParameter: axis 2 int32 =1
ThresholdParameter: threshold 1 float
SwishParameter: beta 1 float =1
TileParameter: axis 1 int32 =1, tiles 2 int32
UpsampleParameter: scale 1 int32, scale_h 2 int32, scale_w 3 int32, upsample_h 5 int32, upsample_w 6 int32
"""
LAYERS = """
LayerParameter: name 1 string, type 2 string, bottom 3 string*, top 4 string*, param 6 ParamSpec*,
  include 8 NetStateRule*, exclude 9 NetStateRule*, transform_param 100 TransformationParameter,
  argmax_param 103 ArgMaxParameter, concat_param 104 ConcatParameter, convolution_param 106 ConvolutionParameter,
  data_param 107 DataParameter, eltwise_param 110 EltwiseParameter, exp_param 111 ExpParameter,
  image_data_param 115 ImageDataParameter, inner_product_param 117 InnerProductParameter, lrn_param 118 LRNParameter,
  memory_data_param 119 MemoryDataParameter, mvn_param 120 MVNParameter, pooling_param 121 PoolingParameter,
  power_param 122 PowerParameter, relu_param 123 ReLUParameter, softmax_param 125 SoftmaxParameter,
  slice_param 126 SliceParameter, threshold_param 128 ThresholdParameter, prelu_param 131 PReLUParameter,
  reshape_param 133 ReshapeParameter, log_param 134 LogParameter, flatten_param 135 FlattenParameter,
  reduction_param 136 ReductionParameter, embed_param 137 EmbedParameter, tile_param 138 TileParameter,
  batch_norm_param 139 BatchNormParameter, elu_param 140 ELUParameter, bias_param 141 BiasParameter,
  scale_param 142 ScaleParameter, input_param 143 InputParameter, crop_param 144 CropParameter,
  parameter_param 145 ParameterParameter, detection_output_param 147 DetectionOutputParameter,
  permute_param 148 PermuteParameter, norm_param 149 NormalizeBBoxParameter, prior_box_param 150 PriorBoxParameter,
  bn_param 1001 BNParameter, interp_param 1002 InterpParameter, shuffle_channel_param 1003 ShuffleChannelParameter,
  upsample_param 1004 UpsampleParameter, clip_param 1005 ClipParameter, swish_param 1006 SwishParameter
V1LayerParameter: bottom 2 string*, top 3 string*, name 4 string, type 5 {%(v1)s}, concat_param 9 ConcatParameter,
  convolution_param 10 ConvolutionParameter, data_param 11 DataParameter, image_data_param 15 ImageDataParameter,
  inner_product_param 17 InnerProductParameter, lrn_param 18 LRNParameter, pooling_param 19 PoolingParameter,
  power_param 21 PowerParameter, memory_data_param 22 MemoryDataParameter, argmax_param 23 ArgMaxParameter,
  eltwise_param 24 EltwiseParameter, threshold_param 25 ThresholdParameter, relu_param 30 ReLUParameter,
  slice_param 31 SliceParameter, include 32 NetStateRule*, exclude 33 NetStateRule*, mvn_param 34 MVNParameter,
  transform_param 36 TransformationParameter, softmax_param 39 SoftmaxParameter, exp_param 41 ExpParameter,
  param 1001 string*
NetParameter: name 1 string, layers 2 V1LayerParameter*, input 3 string*, input_dim 4 int32*, state 6 NetState,
  input_shape 8 BlobShape*, layer 100 LayerParameter*
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

_SCALARS = {"double": 1, "float": 2, "int64": 3, "int32": 5, "bool": 8, "string": 9, "bytes": 12, "uint32": 13}
_MESSAGE, _ENUM = 11, 14  # of FieldDescriptorProto.Type


@functools.cache
def network_class() -> Any:
    """NetParameter for .prototxt files."""
    v1 = " ".join(["NONE=0", *(f"{name}={number}" for number, name, _ in V1_TYPES)])
    return message_class(STATE + PARAMETERS + LAYERS % {"v1": v1})


def message_class(text: str) -> Any:
    """The class NetParameter of the messages that the text describes."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError:
        raise MissingExtraError("protobuf", "reading a Caffe model") from None
    file = descriptor_pb2.FileDescriptorProto(name="edgert/caffe.proto", package="edgert.caffe", syntax="proto2")
    for entry in filter(None, text.replace("\n  ", " ").splitlines()):
        name, _, fields = entry.partition(": ")
        message = file.message_type.add(name=name)
        for field in fields.split(", "):
            _add_field(message, field)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    descriptor = pool.FindMessageTypeByName("edgert.caffe.NetParameter")
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)  # protobuf 3


def _add_field(message: Any, text: str) -> None:
    declared, _, default = text.partition(" =")
    name, number, kind = declared.split(" ", 2)
    field = message.field.add(name=name, number=int(number), label=3 if kind[-1] in "*!" else 1)
    field.options.packed = kind.endswith("!")
    kind = kind.rstrip("*!")
    if kind.startswith("{"):
        enum = message.enum_type.add(name=f"{name}_values")
        for entry in kind[1:-1].split():
            label, _, value = entry.partition("=")
            enum.value.add(name=label, number=int(value))
        field.type, field.type_name = _ENUM, f".edgert.caffe.{message.name}.{enum.name}"
    elif kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = _MESSAGE, f".edgert.caffe.{kind}"
    if default:
        field.default_value = default
