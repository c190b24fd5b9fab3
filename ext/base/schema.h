/* Generated from schemas/ert.fbs by schemas/generate.py. Do not edit. */
#ifndef ERT_BASE_SCHEMA_H
#define ERT_BASE_SCHEMA_H

#include "base/fb.h"

enum {
  ERT_DTYPE_FLOAT32 = 0,
  ERT_DTYPE_INT8 = 1,
  ERT_DTYPE_UINT8 = 2,
  ERT_DTYPE_INT16 = 3,
  ERT_DTYPE_INT32 = 4,
  ERT_DTYPE_INT64 = 5,
  ERT_DTYPE_BOOL = 6,
  ERT_DTYPE_FLOAT16 = 7,
  ERT_DTYPE_COUNT = 8
};

enum {
  ERT_TENSOR_KIND_ACTIVATION = 0,
  ERT_TENSOR_KIND_CONSTANT = 1,
  ERT_TENSOR_KIND_VARIABLE = 2,
  ERT_TENSOR_KIND_COUNT = 3
};

enum {
  ERT_OP_CODE_NONE = 0,
  ERT_OP_CODE_CONV2D = 1,
  ERT_OP_CODE_DEPTHWISE_CONV2D = 2,
  ERT_OP_CODE_FULLY_CONNECTED = 3,
  ERT_OP_CODE_MATMUL = 4,
  ERT_OP_CODE_ADD = 5,
  ERT_OP_CODE_SUB = 6,
  ERT_OP_CODE_MUL = 7,
  ERT_OP_CODE_BINARY = 8,
  ERT_OP_CODE_UNARY = 9,
  ERT_OP_CODE_LUT = 10,
  ERT_OP_CODE_PRELU = 11,
  ERT_OP_CODE_QUANTIZE = 12,
  ERT_OP_CODE_DEQUANTIZE = 13,
  ERT_OP_CODE_CAST = 14,
  ERT_OP_CODE_MAX_POOL2D = 15,
  ERT_OP_CODE_AVERAGE_POOL2D = 16,
  ERT_OP_CODE_REDUCE = 17,
  ERT_OP_CODE_SOFTMAX = 18,
  ERT_OP_CODE_RESHAPE = 19,
  ERT_OP_CODE_TRANSPOSE = 20,
  ERT_OP_CODE_CONCAT = 21,
  ERT_OP_CODE_SLICE = 22,
  ERT_OP_CODE_PAD = 23,
  ERT_OP_CODE_GATHER = 24,
  ERT_OP_CODE_BROADCAST_TO = 25,
  ERT_OP_CODE_RESIZE = 26,
  ERT_OP_CODE_DEPTH_TO_SPACE = 27,
  ERT_OP_CODE_SPACE_TO_DEPTH = 28,
  ERT_OP_CODE_ARG_MAX = 29,
  ERT_OP_CODE_COMPARE = 30,
  ERT_OP_CODE_SELECT = 31,
  ERT_OP_CODE_COPY = 32,
  ERT_OP_CODE_ASSIGN = 33,
  ERT_OP_CODE_LOG_SOFTMAX = 34,
  ERT_OP_CODE_LSTM = 35,
  ERT_OP_CODE_GRU = 36,
  ERT_OP_CODE_RNN = 37,
  ERT_OP_CODE_SVDF = 38,
  ERT_OP_CODE_TOP_K = 39,
  ERT_OP_CODE_CUMSUM = 40,
  ERT_OP_CODE_GATHER_ND = 41,
  ERT_OP_CODE_GATHER_ELEMENTS = 42,
  ERT_OP_CODE_SCATTER_ND = 43,
  ERT_OP_CODE_SCATTER_ELEMENTS = 44,
  ERT_OP_CODE_NON_MAX_SUPPRESSION = 45,
  ERT_OP_CODE_DETECTION_POSTPROCESS = 46,
  ERT_OP_CODE_CUSTOM = 47,
  ERT_OP_CODE_UNPACK_INT4 = 48,
  ERT_OP_CODE_COUNT = 49
};

enum {
  ERT_ACTIVATION_NONE = 0,
  ERT_ACTIVATION_RELU = 1,
  ERT_ACTIVATION_RELU6 = 2,
  ERT_ACTIVATION_RELU_N1_TO_1 = 3,
  ERT_ACTIVATION_COUNT = 4
};

enum {
  ERT_BINARY_FUNCTION_DIV = 0,
  ERT_BINARY_FUNCTION_MINIMUM = 1,
  ERT_BINARY_FUNCTION_MAXIMUM = 2,
  ERT_BINARY_FUNCTION_POW = 3,
  ERT_BINARY_FUNCTION_SQUARED_DIFFERENCE = 4,
  ERT_BINARY_FUNCTION_FLOOR_DIV = 5,
  ERT_BINARY_FUNCTION_FLOOR_MOD = 6,
  ERT_BINARY_FUNCTION_LOGICAL_AND = 7,
  ERT_BINARY_FUNCTION_LOGICAL_OR = 8,
  ERT_BINARY_FUNCTION_BITWISE_AND = 9,
  ERT_BINARY_FUNCTION_BITWISE_OR = 10,
  ERT_BINARY_FUNCTION_BITWISE_XOR = 11,
  ERT_BINARY_FUNCTION_SHIFT_LEFT = 12,
  ERT_BINARY_FUNCTION_SHIFT_RIGHT = 13,
  ERT_BINARY_FUNCTION_TRUNC_MOD = 14,
  ERT_BINARY_FUNCTION_ATAN2 = 15,
  ERT_BINARY_FUNCTION_COUNT = 16
};

enum {
  ERT_UNARY_FUNCTION_RELU = 0,
  ERT_UNARY_FUNCTION_RELU6 = 1,
  ERT_UNARY_FUNCTION_RELU_N1_TO_1 = 2,
  ERT_UNARY_FUNCTION_LEAKY_RELU = 3,
  ERT_UNARY_FUNCTION_ELU = 4,
  ERT_UNARY_FUNCTION_SIGMOID = 5,
  ERT_UNARY_FUNCTION_TANH = 6,
  ERT_UNARY_FUNCTION_HARD_SWISH = 7,
  ERT_UNARY_FUNCTION_HARD_SIGMOID = 8,
  ERT_UNARY_FUNCTION_EXP = 9,
  ERT_UNARY_FUNCTION_LOG = 10,
  ERT_UNARY_FUNCTION_SQRT = 11,
  ERT_UNARY_FUNCTION_RSQRT = 12,
  ERT_UNARY_FUNCTION_ABS = 13,
  ERT_UNARY_FUNCTION_NEG = 14,
  ERT_UNARY_FUNCTION_FLOOR = 15,
  ERT_UNARY_FUNCTION_CEIL = 16,
  ERT_UNARY_FUNCTION_ROUND = 17,
  ERT_UNARY_FUNCTION_SQUARE = 18,
  ERT_UNARY_FUNCTION_SIN = 19,
  ERT_UNARY_FUNCTION_COS = 20,
  ERT_UNARY_FUNCTION_ERF = 21,
  ERT_UNARY_FUNCTION_GELU = 22,
  ERT_UNARY_FUNCTION_SOFTPLUS = 23,
  ERT_UNARY_FUNCTION_CLIP = 24,
  ERT_UNARY_FUNCTION_RECIPROCAL = 25,
  ERT_UNARY_FUNCTION_SIGN = 26,
  ERT_UNARY_FUNCTION_SOFTSIGN = 27,
  ERT_UNARY_FUNCTION_MISH = 28,
  ERT_UNARY_FUNCTION_GELU_TANH = 29,
  ERT_UNARY_FUNCTION_LOGICAL_NOT = 30,
  ERT_UNARY_FUNCTION_SILU = 31,
  ERT_UNARY_FUNCTION_SELU = 32,
  ERT_UNARY_FUNCTION_CELU = 33,
  ERT_UNARY_FUNCTION_ATAN = 34,
  ERT_UNARY_FUNCTION_ASIN = 35,
  ERT_UNARY_FUNCTION_ACOS = 36,
  ERT_UNARY_FUNCTION_ASINH = 37,
  ERT_UNARY_FUNCTION_ACOSH = 38,
  ERT_UNARY_FUNCTION_ATANH = 39,
  ERT_UNARY_FUNCTION_SINH = 40,
  ERT_UNARY_FUNCTION_COSH = 41,
  ERT_UNARY_FUNCTION_TAN = 42,
  ERT_UNARY_FUNCTION_COUNT = 43
};

enum {
  ERT_REDUCE_FUNCTION_MEAN = 0,
  ERT_REDUCE_FUNCTION_SUM = 1,
  ERT_REDUCE_FUNCTION_MAX = 2,
  ERT_REDUCE_FUNCTION_MIN = 3,
  ERT_REDUCE_FUNCTION_PROD = 4,
  ERT_REDUCE_FUNCTION_COUNT = 5
};

enum {
  ERT_COMPARE_FUNCTION_EQUAL = 0,
  ERT_COMPARE_FUNCTION_NOT_EQUAL = 1,
  ERT_COMPARE_FUNCTION_LESS = 2,
  ERT_COMPARE_FUNCTION_LESS_EQUAL = 3,
  ERT_COMPARE_FUNCTION_GREATER = 4,
  ERT_COMPARE_FUNCTION_GREATER_EQUAL = 5,
  ERT_COMPARE_FUNCTION_COUNT = 6
};

enum {
  ERT_PAD_MODE_CONSTANT = 0,
  ERT_PAD_MODE_REFLECT = 1,
  ERT_PAD_MODE_SYMMETRIC = 2,
  ERT_PAD_MODE_EDGE = 3,
  ERT_PAD_MODE_COUNT = 4
};

enum {
  ERT_RESIZE_MODE_NEAREST = 0,
  ERT_RESIZE_MODE_BILINEAR = 1,
  ERT_RESIZE_MODE_COUNT = 2
};

enum {
  ERT_COORDINATE_MODE_ASYMMETRIC = 0,
  ERT_COORDINATE_MODE_HALF_PIXEL = 1,
  ERT_COORDINATE_MODE_ALIGN_CORNERS = 2,
  ERT_COORDINATE_MODE_PYTORCH_HALF_PIXEL = 3,
  ERT_COORDINATE_MODE_COUNT = 4
};

enum {
  ERT_SCATTER_REDUCTION_NONE = 0,
  ERT_SCATTER_REDUCTION_ADD = 1,
  ERT_SCATTER_REDUCTION_MUL = 2,
  ERT_SCATTER_REDUCTION_MIN = 3,
  ERT_SCATTER_REDUCTION_MAX = 4,
  ERT_SCATTER_REDUCTION_COUNT = 5
};

enum {
  ERT_NEAREST_MODE_FLOOR = 0,
  ERT_NEAREST_MODE_ROUND_PREFER_FLOOR = 1,
  ERT_NEAREST_MODE_ROUND_PREFER_CEIL = 2,
  ERT_NEAREST_MODE_CEIL = 3,
  ERT_NEAREST_MODE_COUNT = 4
};

/* Accessors. The buffer has been through ert_verify; a field that is absent reads as its default. */
static inline int32_t ert_conv2d_attrs_stride_h(ert_fb_table t) { return ert_fb_i32(t, 4, 1); }
static inline int32_t ert_conv2d_attrs_stride_w(ert_fb_table t) { return ert_fb_i32(t, 6, 1); }
static inline int32_t ert_conv2d_attrs_dilation_h(ert_fb_table t) { return ert_fb_i32(t, 8, 1); }
static inline int32_t ert_conv2d_attrs_dilation_w(ert_fb_table t) { return ert_fb_i32(t, 10, 1); }
static inline int32_t ert_conv2d_attrs_pad_top(ert_fb_table t) { return ert_fb_i32(t, 12, 0); }
static inline int32_t ert_conv2d_attrs_pad_left(ert_fb_table t) { return ert_fb_i32(t, 14, 0); }
static inline int32_t ert_conv2d_attrs_pad_bottom(ert_fb_table t) { return ert_fb_i32(t, 16, 0); }
static inline int32_t ert_conv2d_attrs_pad_right(ert_fb_table t) { return ert_fb_i32(t, 18, 0); }
static inline int32_t ert_conv2d_attrs_groups(ert_fb_table t) { return ert_fb_i32(t, 20, 1); }
static inline uint8_t ert_conv2d_attrs_activation(ert_fb_table t) { return ert_fb_u8(t, 22, 0); }
static inline int32_t ert_depthwise_conv2d_attrs_stride_h(ert_fb_table t) { return ert_fb_i32(t, 4, 1); }
static inline int32_t ert_depthwise_conv2d_attrs_stride_w(ert_fb_table t) { return ert_fb_i32(t, 6, 1); }
static inline int32_t ert_depthwise_conv2d_attrs_dilation_h(ert_fb_table t) { return ert_fb_i32(t, 8, 1); }
static inline int32_t ert_depthwise_conv2d_attrs_dilation_w(ert_fb_table t) { return ert_fb_i32(t, 10, 1); }
static inline int32_t ert_depthwise_conv2d_attrs_pad_top(ert_fb_table t) { return ert_fb_i32(t, 12, 0); }
static inline int32_t ert_depthwise_conv2d_attrs_pad_left(ert_fb_table t) { return ert_fb_i32(t, 14, 0); }
static inline int32_t ert_depthwise_conv2d_attrs_pad_bottom(ert_fb_table t) { return ert_fb_i32(t, 16, 0); }
static inline int32_t ert_depthwise_conv2d_attrs_pad_right(ert_fb_table t) { return ert_fb_i32(t, 18, 0); }
static inline int32_t ert_depthwise_conv2d_attrs_multiplier(ert_fb_table t) { return ert_fb_i32(t, 20, 1); }
static inline uint8_t ert_depthwise_conv2d_attrs_activation(ert_fb_table t) { return ert_fb_u8(t, 22, 0); }
static inline uint8_t ert_fully_connected_attrs_activation(ert_fb_table t) { return ert_fb_u8(t, 4, 0); }
static inline bool ert_matmul_attrs_transpose_a(ert_fb_table t) { return ert_fb_u8(t, 4, false) != 0; }
static inline bool ert_matmul_attrs_transpose_b(ert_fb_table t) { return ert_fb_u8(t, 6, false) != 0; }
static inline uint8_t ert_add_attrs_activation(ert_fb_table t) { return ert_fb_u8(t, 4, 0); }
static inline uint8_t ert_sub_attrs_activation(ert_fb_table t) { return ert_fb_u8(t, 4, 0); }
static inline uint8_t ert_mul_attrs_activation(ert_fb_table t) { return ert_fb_u8(t, 4, 0); }
static inline uint8_t ert_binary_attrs_function(ert_fb_table t) { return ert_fb_u8(t, 4, 0); }
static inline uint8_t ert_binary_attrs_activation(ert_fb_table t) { return ert_fb_u8(t, 6, 0); }
static inline uint8_t ert_unary_attrs_function(ert_fb_table t) { return ert_fb_u8(t, 4, 0); }
static inline float ert_unary_attrs_alpha(ert_fb_table t) { return ert_fb_f32(t, 6, 0.0f); }
static inline float ert_unary_attrs_beta(ert_fb_table t) { return ert_fb_f32(t, 8, 0.0f); }
static inline int32_t ert_max_pool2d_attrs_kernel_h(ert_fb_table t) { return ert_fb_i32(t, 4, 1); }
static inline int32_t ert_max_pool2d_attrs_kernel_w(ert_fb_table t) { return ert_fb_i32(t, 6, 1); }
static inline int32_t ert_max_pool2d_attrs_stride_h(ert_fb_table t) { return ert_fb_i32(t, 8, 1); }
static inline int32_t ert_max_pool2d_attrs_stride_w(ert_fb_table t) { return ert_fb_i32(t, 10, 1); }
static inline int32_t ert_max_pool2d_attrs_dilation_h(ert_fb_table t) { return ert_fb_i32(t, 12, 1); }
static inline int32_t ert_max_pool2d_attrs_dilation_w(ert_fb_table t) { return ert_fb_i32(t, 14, 1); }
static inline int32_t ert_max_pool2d_attrs_pad_top(ert_fb_table t) { return ert_fb_i32(t, 16, 0); }
static inline int32_t ert_max_pool2d_attrs_pad_left(ert_fb_table t) { return ert_fb_i32(t, 18, 0); }
static inline int32_t ert_max_pool2d_attrs_pad_bottom(ert_fb_table t) { return ert_fb_i32(t, 20, 0); }
static inline int32_t ert_max_pool2d_attrs_pad_right(ert_fb_table t) { return ert_fb_i32(t, 22, 0); }
static inline uint8_t ert_max_pool2d_attrs_activation(ert_fb_table t) { return ert_fb_u8(t, 24, 0); }
static inline int32_t ert_average_pool2d_attrs_kernel_h(ert_fb_table t) { return ert_fb_i32(t, 4, 1); }
static inline int32_t ert_average_pool2d_attrs_kernel_w(ert_fb_table t) { return ert_fb_i32(t, 6, 1); }
static inline int32_t ert_average_pool2d_attrs_stride_h(ert_fb_table t) { return ert_fb_i32(t, 8, 1); }
static inline int32_t ert_average_pool2d_attrs_stride_w(ert_fb_table t) { return ert_fb_i32(t, 10, 1); }
static inline int32_t ert_average_pool2d_attrs_pad_top(ert_fb_table t) { return ert_fb_i32(t, 12, 0); }
static inline int32_t ert_average_pool2d_attrs_pad_left(ert_fb_table t) { return ert_fb_i32(t, 14, 0); }
static inline int32_t ert_average_pool2d_attrs_pad_bottom(ert_fb_table t) { return ert_fb_i32(t, 16, 0); }
static inline int32_t ert_average_pool2d_attrs_pad_right(ert_fb_table t) { return ert_fb_i32(t, 18, 0); }
static inline bool ert_average_pool2d_attrs_count_include_pad(ert_fb_table t) { return ert_fb_u8(t, 20, false) != 0; }
static inline uint8_t ert_average_pool2d_attrs_activation(ert_fb_table t) { return ert_fb_u8(t, 22, 0); }
static inline uint8_t ert_reduce_attrs_function(ert_fb_table t) { return ert_fb_u8(t, 4, 0); }
static inline ert_fb_vector ert_reduce_attrs_axes(ert_fb_table t) { return ert_fb_vec(t, 6); }
static inline bool ert_reduce_attrs_keep_dims(ert_fb_table t) { return ert_fb_u8(t, 8, false) != 0; }
static inline int32_t ert_softmax_attrs_axis(ert_fb_table t) { return ert_fb_i32(t, 4, -1); }
static inline float ert_softmax_attrs_beta(ert_fb_table t) { return ert_fb_f32(t, 6, 1.0f); }
static inline ert_fb_vector ert_softmax_attrs_exp_table(ert_fb_table t) { return ert_fb_vec(t, 8); }
static inline int32_t ert_log_softmax_attrs_axis(ert_fb_table t) { return ert_fb_i32(t, 4, -1); }
static inline ert_fb_vector ert_reshape_attrs_shape(ert_fb_table t) { return ert_fb_vec(t, 4); }
static inline ert_fb_vector ert_transpose_attrs_perm(ert_fb_table t) { return ert_fb_vec(t, 4); }
static inline int32_t ert_concat_attrs_axis(ert_fb_table t) { return ert_fb_i32(t, 4, 0); }
static inline uint8_t ert_concat_attrs_activation(ert_fb_table t) { return ert_fb_u8(t, 6, 0); }
static inline ert_fb_vector ert_slice_attrs_begin(ert_fb_table t) { return ert_fb_vec(t, 4); }
static inline ert_fb_vector ert_slice_attrs_end(ert_fb_table t) { return ert_fb_vec(t, 6); }
static inline ert_fb_vector ert_slice_attrs_strides(ert_fb_table t) { return ert_fb_vec(t, 8); }
static inline ert_fb_vector ert_pad_attrs_before(ert_fb_table t) { return ert_fb_vec(t, 4); }
static inline ert_fb_vector ert_pad_attrs_after(ert_fb_table t) { return ert_fb_vec(t, 6); }
static inline uint8_t ert_pad_attrs_mode(ert_fb_table t) { return ert_fb_u8(t, 8, 0); }
static inline float ert_pad_attrs_value(ert_fb_table t) { return ert_fb_f32(t, 10, 0.0f); }
static inline int32_t ert_gather_attrs_axis(ert_fb_table t) { return ert_fb_i32(t, 4, 0); }
static inline ert_fb_vector ert_broadcast_to_attrs_shape(ert_fb_table t) { return ert_fb_vec(t, 4); }
static inline int32_t ert_resize_attrs_out_h(ert_fb_table t) { return ert_fb_i32(t, 4, 0); }
static inline int32_t ert_resize_attrs_out_w(ert_fb_table t) { return ert_fb_i32(t, 6, 0); }
static inline uint8_t ert_resize_attrs_mode(ert_fb_table t) { return ert_fb_u8(t, 8, 0); }
static inline uint8_t ert_resize_attrs_coordinates(ert_fb_table t) { return ert_fb_u8(t, 10, 0); }
static inline uint8_t ert_resize_attrs_nearest(ert_fb_table t) { return ert_fb_u8(t, 12, 0); }
static inline float ert_resize_attrs_scale_h(ert_fb_table t) { return ert_fb_f32(t, 14, 0.0f); }
static inline float ert_resize_attrs_scale_w(ert_fb_table t) { return ert_fb_f32(t, 16, 0.0f); }
static inline int32_t ert_depth_to_space_attrs_block(ert_fb_table t) { return ert_fb_i32(t, 4, 2); }
static inline bool ert_depth_to_space_attrs_column_row_depth(ert_fb_table t) { return ert_fb_u8(t, 6, false) != 0; }
static inline int32_t ert_space_to_depth_attrs_block(ert_fb_table t) { return ert_fb_i32(t, 4, 2); }
static inline int32_t ert_arg_max_attrs_axis(ert_fb_table t) { return ert_fb_i32(t, 4, -1); }
static inline bool ert_arg_max_attrs_keep_dims(ert_fb_table t) { return ert_fb_u8(t, 6, false) != 0; }
static inline bool ert_arg_max_attrs_minimum(ert_fb_table t) { return ert_fb_u8(t, 8, false) != 0; }
static inline uint8_t ert_compare_attrs_function(ert_fb_table t) { return ert_fb_u8(t, 4, 0); }
static inline bool ert_lstm_attrs_reverse(ert_fb_table t) { return ert_fb_u8(t, 4, false) != 0; }
static inline bool ert_lstm_attrs_batch_major(ert_fb_table t) { return ert_fb_u8(t, 6, false) != 0; }
static inline bool ert_lstm_attrs_coupled(ert_fb_table t) { return ert_fb_u8(t, 8, false) != 0; }
static inline uint8_t ert_lstm_attrs_gate(ert_fb_table t) { return ert_fb_u8(t, 10, ERT_UNARY_FUNCTION_SIGMOID); }
static inline float ert_lstm_attrs_gate_alpha(ert_fb_table t) { return ert_fb_f32(t, 12, 0.0f); }
static inline float ert_lstm_attrs_gate_beta(ert_fb_table t) { return ert_fb_f32(t, 14, 0.0f); }
static inline uint8_t ert_lstm_attrs_activation(ert_fb_table t) { return ert_fb_u8(t, 16, ERT_UNARY_FUNCTION_TANH); }
static inline uint8_t ert_lstm_attrs_output_activation(ert_fb_table t) { return ert_fb_u8(t, 18, ERT_UNARY_FUNCTION_TANH); }
static inline float ert_lstm_attrs_alpha(ert_fb_table t) { return ert_fb_f32(t, 20, 0.0f); }
static inline float ert_lstm_attrs_beta(ert_fb_table t) { return ert_fb_f32(t, 22, 0.0f); }
static inline float ert_lstm_attrs_clip(ert_fb_table t) { return ert_fb_f32(t, 24, 0.0f); }
static inline float ert_lstm_attrs_cell_clip(ert_fb_table t) { return ert_fb_f32(t, 26, 0.0f); }
static inline float ert_lstm_attrs_projection_clip(ert_fb_table t) { return ert_fb_f32(t, 28, 0.0f); }
static inline float ert_lstm_attrs_hidden_scale(ert_fb_table t) { return ert_fb_f32(t, 30, 0.0f); }
static inline int32_t ert_lstm_attrs_hidden_zero_point(ert_fb_table t) { return ert_fb_i32(t, 32, 0); }
static inline bool ert_gru_attrs_reverse(ert_fb_table t) { return ert_fb_u8(t, 4, false) != 0; }
static inline bool ert_gru_attrs_batch_major(ert_fb_table t) { return ert_fb_u8(t, 6, false) != 0; }
static inline bool ert_gru_attrs_reset_after(ert_fb_table t) { return ert_fb_u8(t, 8, false) != 0; }
static inline uint8_t ert_gru_attrs_gate(ert_fb_table t) { return ert_fb_u8(t, 10, ERT_UNARY_FUNCTION_SIGMOID); }
static inline float ert_gru_attrs_gate_alpha(ert_fb_table t) { return ert_fb_f32(t, 12, 0.0f); }
static inline float ert_gru_attrs_gate_beta(ert_fb_table t) { return ert_fb_f32(t, 14, 0.0f); }
static inline uint8_t ert_gru_attrs_activation(ert_fb_table t) { return ert_fb_u8(t, 16, ERT_UNARY_FUNCTION_TANH); }
static inline float ert_gru_attrs_alpha(ert_fb_table t) { return ert_fb_f32(t, 18, 0.0f); }
static inline float ert_gru_attrs_beta(ert_fb_table t) { return ert_fb_f32(t, 20, 0.0f); }
static inline float ert_gru_attrs_clip(ert_fb_table t) { return ert_fb_f32(t, 22, 0.0f); }
static inline bool ert_rnn_attrs_reverse(ert_fb_table t) { return ert_fb_u8(t, 4, false) != 0; }
static inline bool ert_rnn_attrs_batch_major(ert_fb_table t) { return ert_fb_u8(t, 6, false) != 0; }
static inline uint8_t ert_rnn_attrs_activation(ert_fb_table t) { return ert_fb_u8(t, 8, ERT_UNARY_FUNCTION_TANH); }
static inline float ert_rnn_attrs_alpha(ert_fb_table t) { return ert_fb_f32(t, 10, 0.0f); }
static inline float ert_rnn_attrs_beta(ert_fb_table t) { return ert_fb_f32(t, 12, 0.0f); }
static inline float ert_rnn_attrs_clip(ert_fb_table t) { return ert_fb_f32(t, 14, 0.0f); }
static inline int32_t ert_svdf_attrs_rank(ert_fb_table t) { return ert_fb_i32(t, 4, 1); }
static inline uint8_t ert_svdf_attrs_activation(ert_fb_table t) { return ert_fb_u8(t, 6, 0); }
static inline int32_t ert_top_k_attrs_k(ert_fb_table t) { return ert_fb_i32(t, 4, 0); }
static inline int32_t ert_top_k_attrs_axis(ert_fb_table t) { return ert_fb_i32(t, 6, -1); }
static inline bool ert_top_k_attrs_smallest(ert_fb_table t) { return ert_fb_u8(t, 8, false) != 0; }
static inline int32_t ert_cumsum_attrs_axis(ert_fb_table t) { return ert_fb_i32(t, 4, 0); }
static inline bool ert_cumsum_attrs_exclusive(ert_fb_table t) { return ert_fb_u8(t, 6, false) != 0; }
static inline bool ert_cumsum_attrs_reverse(ert_fb_table t) { return ert_fb_u8(t, 8, false) != 0; }
static inline int32_t ert_gather_nd_attrs_batch_dims(ert_fb_table t) { return ert_fb_i32(t, 4, 0); }
static inline int32_t ert_gather_elements_attrs_axis(ert_fb_table t) { return ert_fb_i32(t, 4, 0); }
static inline uint8_t ert_scatter_nd_attrs_reduction(ert_fb_table t) { return ert_fb_u8(t, 4, 0); }
static inline int32_t ert_scatter_elements_attrs_axis(ert_fb_table t) { return ert_fb_i32(t, 4, 0); }
static inline uint8_t ert_scatter_elements_attrs_reduction(ert_fb_table t) { return ert_fb_u8(t, 6, 0); }
static inline int32_t ert_non_max_suppression_attrs_max_output(ert_fb_table t) { return ert_fb_i32(t, 4, 0); }
static inline float ert_non_max_suppression_attrs_iou_threshold(ert_fb_table t) { return ert_fb_f32(t, 6, 0.0f); }
static inline float ert_non_max_suppression_attrs_score_threshold(ert_fb_table t) { return ert_fb_f32(t, 8, 0.0f); }
static inline float ert_non_max_suppression_attrs_soft_sigma(ert_fb_table t) { return ert_fb_f32(t, 10, 0.0f); }
static inline bool ert_non_max_suppression_attrs_inclusive(ert_fb_table t) { return ert_fb_u8(t, 12, false) != 0; }
static inline bool ert_non_max_suppression_attrs_center(ert_fb_table t) { return ert_fb_u8(t, 14, false) != 0; }
static inline int32_t ert_detection_postprocess_attrs_max_detections(ert_fb_table t) { return ert_fb_i32(t, 4, 0); }
static inline int32_t ert_detection_postprocess_attrs_max_classes_per_detection(ert_fb_table t) { return ert_fb_i32(t, 6, 1); }
static inline int32_t ert_detection_postprocess_attrs_detections_per_class(ert_fb_table t) { return ert_fb_i32(t, 8, 100); }
static inline bool ert_detection_postprocess_attrs_regular(ert_fb_table t) { return ert_fb_u8(t, 10, false) != 0; }
static inline int32_t ert_detection_postprocess_attrs_classes(ert_fb_table t) { return ert_fb_i32(t, 12, 0); }
static inline float ert_detection_postprocess_attrs_iou_threshold(ert_fb_table t) { return ert_fb_f32(t, 14, 0.0f); }
static inline float ert_detection_postprocess_attrs_score_threshold(ert_fb_table t) { return ert_fb_f32(t, 16, 0.0f); }
static inline float ert_detection_postprocess_attrs_scale_x(ert_fb_table t) { return ert_fb_f32(t, 18, 1.0f); }
static inline float ert_detection_postprocess_attrs_scale_y(ert_fb_table t) { return ert_fb_f32(t, 20, 1.0f); }
static inline float ert_detection_postprocess_attrs_scale_w(ert_fb_table t) { return ert_fb_f32(t, 22, 1.0f); }
static inline float ert_detection_postprocess_attrs_scale_h(ert_fb_table t) { return ert_fb_f32(t, 24, 1.0f); }
static inline ert_fb_vector ert_custom_attrs_name(ert_fb_table t) { return ert_fb_vec(t, 4); }
static inline ert_fb_vector ert_custom_attrs_options(ert_fb_table t) { return ert_fb_vec(t, 6); }
static inline ert_fb_vector ert_unpack_int4_attrs_shape(ert_fb_table t) { return ert_fb_vec(t, 4); }
static inline ert_fb_vector ert_file_quantization_scales(ert_fb_table t) { return ert_fb_vec(t, 4); }
static inline ert_fb_vector ert_file_quantization_zero_points(ert_fb_table t) { return ert_fb_vec(t, 6); }
static inline int32_t ert_file_quantization_axis(ert_fb_table t) { return ert_fb_i32(t, 8, 0); }
static inline ert_fb_vector ert_file_tensor_name(ert_fb_table t) { return ert_fb_vec(t, 4); }
static inline uint8_t ert_file_tensor_dtype(ert_fb_table t) { return ert_fb_u8(t, 6, 0); }
static inline uint8_t ert_file_tensor_kind(ert_fb_table t) { return ert_fb_u8(t, 8, 0); }
static inline ert_fb_vector ert_file_tensor_shape(ert_fb_table t) { return ert_fb_vec(t, 10); }
static inline ert_fb_table ert_file_tensor_quantization(ert_fb_table t) { return ert_fb_sub(t, 12); }
static inline uint32_t ert_file_tensor_buffer(ert_fb_table t) { return ert_fb_u32(t, 14, 0); }
static inline int64_t ert_file_tensor_arena_offset(ert_fb_table t) { return ert_fb_i64(t, 16, -1); }
static inline ert_fb_vector ert_file_buffer_data(ert_fb_table t) { return ert_fb_vec(t, 4); }
static inline uint64_t ert_file_buffer_hash(ert_fb_table t) { return ert_fb_u64(t, 6, 0); }
static inline uint16_t ert_file_op_code(ert_fb_table t) { return ert_fb_u16(t, 4, 0); }
static inline ert_fb_vector ert_file_op_name(ert_fb_table t) { return ert_fb_vec(t, 6); }
static inline ert_fb_vector ert_file_op_inputs(ert_fb_table t) { return ert_fb_vec(t, 8); }
static inline ert_fb_vector ert_file_op_outputs(ert_fb_table t) { return ert_fb_vec(t, 10); }
static inline uint8_t ert_file_op_attrs_type(ert_fb_table t) { return ert_fb_u8(t, 12, 0); }
static inline ert_fb_table ert_file_op_attrs(ert_fb_table t) { return ert_fb_sub(t, 14); }
static inline ert_fb_vector ert_file_key_value_key(ert_fb_table t) { return ert_fb_vec(t, 4); }
static inline ert_fb_vector ert_file_key_value_value(ert_fb_table t) { return ert_fb_vec(t, 6); }
static inline ert_fb_vector ert_file_golden_inputs(ert_fb_table t) { return ert_fb_vec(t, 4); }
static inline ert_fb_vector ert_file_golden_outputs(ert_fb_table t) { return ert_fb_vec(t, 6); }
static inline ert_fb_vector ert_file_metadata_name(ert_fb_table t) { return ert_fb_vec(t, 4); }
static inline ert_fb_vector ert_file_metadata_description(ert_fb_table t) { return ert_fb_vec(t, 6); }
static inline ert_fb_vector ert_file_metadata_licence(ert_fb_table t) { return ert_fb_vec(t, 8); }
static inline ert_fb_vector ert_file_metadata_labels(ert_fb_table t) { return ert_fb_vec(t, 10); }
static inline ert_fb_vector ert_file_metadata_input_mean(ert_fb_table t) { return ert_fb_vec(t, 12); }
static inline ert_fb_vector ert_file_metadata_input_std(ert_fb_table t) { return ert_fb_vec(t, 14); }
static inline ert_fb_vector ert_file_metadata_source_sha256(ert_fb_table t) { return ert_fb_vec(t, 16); }
static inline ert_fb_vector ert_file_metadata_calibration_sha256(ert_fb_table t) { return ert_fb_vec(t, 18); }
static inline ert_fb_vector ert_file_metadata_toolchain(ert_fb_table t) { return ert_fb_vec(t, 20); }
static inline ert_fb_vector ert_file_metadata_entries(ert_fb_table t) { return ert_fb_vec(t, 22); }
static inline uint32_t ert_file_packed_op(ert_fb_table t) { return ert_fb_u32(t, 4, 0); }
static inline ert_fb_vector ert_file_packed_kernel(ert_fb_table t) { return ert_fb_vec(t, 6); }
static inline uint64_t ert_file_packed_layout(ert_fb_table t) { return ert_fb_u64(t, 8, 0); }
static inline uint64_t ert_file_packed_source(ert_fb_table t) { return ert_fb_u64(t, 10, 0); }
static inline uint64_t ert_file_packed_checksum(ert_fb_table t) { return ert_fb_u64(t, 12, 0); }
static inline ert_fb_vector ert_file_packed_targets(ert_fb_table t) { return ert_fb_vec(t, 14); }
static inline ert_fb_vector ert_file_packed_data(ert_fb_table t) { return ert_fb_vec(t, 16); }
static inline ert_fb_vector ert_file_target_name(ert_fb_table t) { return ert_fb_vec(t, 4); }
static inline ert_fb_vector ert_file_target_architecture(ert_fb_table t) { return ert_fb_vec(t, 6); }
static inline ert_fb_vector ert_file_target_instruction_sets(ert_fb_table t) { return ert_fb_vec(t, 8); }
static inline ert_fb_vector ert_file_model_tensors(ert_fb_table t) { return ert_fb_vec(t, 4); }
static inline ert_fb_vector ert_file_model_buffers(ert_fb_table t) { return ert_fb_vec(t, 6); }
static inline ert_fb_vector ert_file_model_ops(ert_fb_table t) { return ert_fb_vec(t, 8); }
static inline ert_fb_vector ert_file_model_inputs(ert_fb_table t) { return ert_fb_vec(t, 10); }
static inline ert_fb_vector ert_file_model_outputs(ert_fb_table t) { return ert_fb_vec(t, 12); }
static inline uint64_t ert_file_model_arena_bytes(ert_fb_table t) { return ert_fb_u64(t, 14, 0); }
static inline ert_fb_table ert_file_model_metadata(ert_fb_table t) { return ert_fb_sub(t, 16); }
static inline ert_fb_vector ert_file_model_golden(ert_fb_table t) { return ert_fb_vec(t, 18); }
static inline ert_fb_vector ert_file_model_packed(ert_fb_table t) { return ert_fb_vec(t, 20); }
static inline ert_fb_vector ert_file_model_targets(ert_fb_table t) { return ert_fb_vec(t, 22); }

/* What ert_verify walks: every field of every table, then the list of tables. */
enum {
  ERT_TABLE_CONV2D_ATTRS = 0,
  ERT_TABLE_DEPTHWISE_CONV2D_ATTRS = 1,
  ERT_TABLE_FULLY_CONNECTED_ATTRS = 2,
  ERT_TABLE_MATMUL_ATTRS = 3,
  ERT_TABLE_ADD_ATTRS = 4,
  ERT_TABLE_SUB_ATTRS = 5,
  ERT_TABLE_MUL_ATTRS = 6,
  ERT_TABLE_BINARY_ATTRS = 7,
  ERT_TABLE_UNARY_ATTRS = 8,
  ERT_TABLE_LUT_ATTRS = 9,
  ERT_TABLE_PRELU_ATTRS = 10,
  ERT_TABLE_QUANTIZE_ATTRS = 11,
  ERT_TABLE_DEQUANTIZE_ATTRS = 12,
  ERT_TABLE_CAST_ATTRS = 13,
  ERT_TABLE_MAX_POOL2D_ATTRS = 14,
  ERT_TABLE_AVERAGE_POOL2D_ATTRS = 15,
  ERT_TABLE_REDUCE_ATTRS = 16,
  ERT_TABLE_SOFTMAX_ATTRS = 17,
  ERT_TABLE_LOG_SOFTMAX_ATTRS = 18,
  ERT_TABLE_RESHAPE_ATTRS = 19,
  ERT_TABLE_TRANSPOSE_ATTRS = 20,
  ERT_TABLE_CONCAT_ATTRS = 21,
  ERT_TABLE_SLICE_ATTRS = 22,
  ERT_TABLE_PAD_ATTRS = 23,
  ERT_TABLE_GATHER_ATTRS = 24,
  ERT_TABLE_BROADCAST_TO_ATTRS = 25,
  ERT_TABLE_RESIZE_ATTRS = 26,
  ERT_TABLE_DEPTH_TO_SPACE_ATTRS = 27,
  ERT_TABLE_SPACE_TO_DEPTH_ATTRS = 28,
  ERT_TABLE_ARG_MAX_ATTRS = 29,
  ERT_TABLE_COMPARE_ATTRS = 30,
  ERT_TABLE_SELECT_ATTRS = 31,
  ERT_TABLE_COPY_ATTRS = 32,
  ERT_TABLE_ASSIGN_ATTRS = 33,
  ERT_TABLE_LSTM_ATTRS = 34,
  ERT_TABLE_GRU_ATTRS = 35,
  ERT_TABLE_RNN_ATTRS = 36,
  ERT_TABLE_SVDF_ATTRS = 37,
  ERT_TABLE_TOP_K_ATTRS = 38,
  ERT_TABLE_CUMSUM_ATTRS = 39,
  ERT_TABLE_GATHER_ND_ATTRS = 40,
  ERT_TABLE_GATHER_ELEMENTS_ATTRS = 41,
  ERT_TABLE_SCATTER_ND_ATTRS = 42,
  ERT_TABLE_SCATTER_ELEMENTS_ATTRS = 43,
  ERT_TABLE_NON_MAX_SUPPRESSION_ATTRS = 44,
  ERT_TABLE_DETECTION_POSTPROCESS_ATTRS = 45,
  ERT_TABLE_CUSTOM_ATTRS = 46,
  ERT_TABLE_UNPACK_INT4_ATTRS = 47,
  ERT_TABLE_QUANTIZATION = 48,
  ERT_TABLE_TENSOR = 49,
  ERT_TABLE_BUFFER = 50,
  ERT_TABLE_OP = 51,
  ERT_TABLE_KEY_VALUE = 52,
  ERT_TABLE_GOLDEN = 53,
  ERT_TABLE_METADATA = 54,
  ERT_TABLE_PACKED = 55,
  ERT_TABLE_TARGET = 56,
  ERT_TABLE_MODEL = 57,
  ERT_TABLE_COUNT = 58
};

#ifdef ERT_SCHEMA_DESCRIPTION
static const uint8_t ert_union_op_attrs[] = {ERT_TABLE_CONV2D_ATTRS, ERT_TABLE_DEPTHWISE_CONV2D_ATTRS, ERT_TABLE_FULLY_CONNECTED_ATTRS, ERT_TABLE_MATMUL_ATTRS, ERT_TABLE_ADD_ATTRS, ERT_TABLE_SUB_ATTRS, ERT_TABLE_MUL_ATTRS, ERT_TABLE_BINARY_ATTRS, ERT_TABLE_UNARY_ATTRS, ERT_TABLE_LUT_ATTRS, ERT_TABLE_PRELU_ATTRS, ERT_TABLE_QUANTIZE_ATTRS, ERT_TABLE_DEQUANTIZE_ATTRS, ERT_TABLE_CAST_ATTRS, ERT_TABLE_MAX_POOL2D_ATTRS, ERT_TABLE_AVERAGE_POOL2D_ATTRS, ERT_TABLE_REDUCE_ATTRS, ERT_TABLE_SOFTMAX_ATTRS, ERT_TABLE_RESHAPE_ATTRS, ERT_TABLE_TRANSPOSE_ATTRS, ERT_TABLE_CONCAT_ATTRS, ERT_TABLE_SLICE_ATTRS, ERT_TABLE_PAD_ATTRS, ERT_TABLE_GATHER_ATTRS, ERT_TABLE_BROADCAST_TO_ATTRS, ERT_TABLE_RESIZE_ATTRS, ERT_TABLE_DEPTH_TO_SPACE_ATTRS, ERT_TABLE_SPACE_TO_DEPTH_ATTRS, ERT_TABLE_ARG_MAX_ATTRS, ERT_TABLE_COMPARE_ATTRS, ERT_TABLE_SELECT_ATTRS, ERT_TABLE_COPY_ATTRS, ERT_TABLE_ASSIGN_ATTRS, ERT_TABLE_LOG_SOFTMAX_ATTRS, ERT_TABLE_LSTM_ATTRS, ERT_TABLE_GRU_ATTRS, ERT_TABLE_RNN_ATTRS, ERT_TABLE_SVDF_ATTRS, ERT_TABLE_TOP_K_ATTRS, ERT_TABLE_CUMSUM_ATTRS, ERT_TABLE_GATHER_ND_ATTRS, ERT_TABLE_GATHER_ELEMENTS_ATTRS, ERT_TABLE_SCATTER_ND_ATTRS, ERT_TABLE_SCATTER_ELEMENTS_ATTRS, ERT_TABLE_NON_MAX_SUPPRESSION_ATTRS, ERT_TABLE_DETECTION_POSTPROCESS_ATTRS, ERT_TABLE_CUSTOM_ATTRS, ERT_TABLE_UNPACK_INT4_ATTRS};
static const ert_fb_field ert_fields_conv2d_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_SCALAR, 4, 0}, {8, ERT_FB_SCALAR, 4, 0}, {10, ERT_FB_SCALAR, 4, 0}, {12, ERT_FB_SCALAR, 4, 0}, {14, ERT_FB_SCALAR, 4, 0}, {16, ERT_FB_SCALAR, 4, 0}, {18, ERT_FB_SCALAR, 4, 0}, {20, ERT_FB_SCALAR, 4, 0}, {22, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_depthwise_conv2d_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_SCALAR, 4, 0}, {8, ERT_FB_SCALAR, 4, 0}, {10, ERT_FB_SCALAR, 4, 0}, {12, ERT_FB_SCALAR, 4, 0}, {14, ERT_FB_SCALAR, 4, 0}, {16, ERT_FB_SCALAR, 4, 0}, {18, ERT_FB_SCALAR, 4, 0}, {20, ERT_FB_SCALAR, 4, 0}, {22, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_fully_connected_attrs[] = {{4, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_matmul_attrs[] = {{4, ERT_FB_SCALAR, 1, 0}, {6, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_add_attrs[] = {{4, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_sub_attrs[] = {{4, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_mul_attrs[] = {{4, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_binary_attrs[] = {{4, ERT_FB_SCALAR, 1, 0}, {6, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_unary_attrs[] = {{4, ERT_FB_SCALAR, 1, 0}, {6, ERT_FB_SCALAR, 4, 0}, {8, ERT_FB_SCALAR, 4, 0}};
static const ert_fb_field ert_fields_lut_attrs[] = {{0, 0, 0, 0}};
static const ert_fb_field ert_fields_prelu_attrs[] = {{0, 0, 0, 0}};
static const ert_fb_field ert_fields_quantize_attrs[] = {{0, 0, 0, 0}};
static const ert_fb_field ert_fields_dequantize_attrs[] = {{0, 0, 0, 0}};
static const ert_fb_field ert_fields_cast_attrs[] = {{0, 0, 0, 0}};
static const ert_fb_field ert_fields_max_pool2d_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_SCALAR, 4, 0}, {8, ERT_FB_SCALAR, 4, 0}, {10, ERT_FB_SCALAR, 4, 0}, {12, ERT_FB_SCALAR, 4, 0}, {14, ERT_FB_SCALAR, 4, 0}, {16, ERT_FB_SCALAR, 4, 0}, {18, ERT_FB_SCALAR, 4, 0}, {20, ERT_FB_SCALAR, 4, 0}, {22, ERT_FB_SCALAR, 4, 0}, {24, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_average_pool2d_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_SCALAR, 4, 0}, {8, ERT_FB_SCALAR, 4, 0}, {10, ERT_FB_SCALAR, 4, 0}, {12, ERT_FB_SCALAR, 4, 0}, {14, ERT_FB_SCALAR, 4, 0}, {16, ERT_FB_SCALAR, 4, 0}, {18, ERT_FB_SCALAR, 4, 0}, {20, ERT_FB_SCALAR, 1, 0}, {22, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_reduce_attrs[] = {{4, ERT_FB_SCALAR, 1, 0}, {6, ERT_FB_SCALARS, 4, 4}, {8, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_softmax_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_SCALAR, 4, 0}, {8, ERT_FB_SCALARS, 4, 4}};
static const ert_fb_field ert_fields_log_softmax_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}};
static const ert_fb_field ert_fields_reshape_attrs[] = {{4, ERT_FB_SCALARS, 4, 4}};
static const ert_fb_field ert_fields_transpose_attrs[] = {{4, ERT_FB_SCALARS, 4, 4}};
static const ert_fb_field ert_fields_concat_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_slice_attrs[] = {{4, ERT_FB_SCALARS, 4, 4}, {6, ERT_FB_SCALARS, 4, 4}, {8, ERT_FB_SCALARS, 4, 4}};
static const ert_fb_field ert_fields_pad_attrs[] = {{4, ERT_FB_SCALARS, 4, 4}, {6, ERT_FB_SCALARS, 4, 4}, {8, ERT_FB_SCALAR, 1, 0}, {10, ERT_FB_SCALAR, 4, 0}};
static const ert_fb_field ert_fields_gather_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}};
static const ert_fb_field ert_fields_broadcast_to_attrs[] = {{4, ERT_FB_SCALARS, 4, 4}};
static const ert_fb_field ert_fields_resize_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_SCALAR, 4, 0}, {8, ERT_FB_SCALAR, 1, 0}, {10, ERT_FB_SCALAR, 1, 0}, {12, ERT_FB_SCALAR, 1, 0}, {14, ERT_FB_SCALAR, 4, 0}, {16, ERT_FB_SCALAR, 4, 0}};
static const ert_fb_field ert_fields_depth_to_space_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_space_to_depth_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}};
static const ert_fb_field ert_fields_arg_max_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_SCALAR, 1, 0}, {8, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_compare_attrs[] = {{4, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_select_attrs[] = {{0, 0, 0, 0}};
static const ert_fb_field ert_fields_copy_attrs[] = {{0, 0, 0, 0}};
static const ert_fb_field ert_fields_assign_attrs[] = {{0, 0, 0, 0}};
static const ert_fb_field ert_fields_lstm_attrs[] = {{4, ERT_FB_SCALAR, 1, 0}, {6, ERT_FB_SCALAR, 1, 0}, {8, ERT_FB_SCALAR, 1, 0}, {10, ERT_FB_SCALAR, 1, 0}, {12, ERT_FB_SCALAR, 4, 0}, {14, ERT_FB_SCALAR, 4, 0}, {16, ERT_FB_SCALAR, 1, 0}, {18, ERT_FB_SCALAR, 1, 0}, {20, ERT_FB_SCALAR, 4, 0}, {22, ERT_FB_SCALAR, 4, 0}, {24, ERT_FB_SCALAR, 4, 0}, {26, ERT_FB_SCALAR, 4, 0}, {28, ERT_FB_SCALAR, 4, 0}, {30, ERT_FB_SCALAR, 4, 0}, {32, ERT_FB_SCALAR, 4, 0}};
static const ert_fb_field ert_fields_gru_attrs[] = {{4, ERT_FB_SCALAR, 1, 0}, {6, ERT_FB_SCALAR, 1, 0}, {8, ERT_FB_SCALAR, 1, 0}, {10, ERT_FB_SCALAR, 1, 0}, {12, ERT_FB_SCALAR, 4, 0}, {14, ERT_FB_SCALAR, 4, 0}, {16, ERT_FB_SCALAR, 1, 0}, {18, ERT_FB_SCALAR, 4, 0}, {20, ERT_FB_SCALAR, 4, 0}, {22, ERT_FB_SCALAR, 4, 0}};
static const ert_fb_field ert_fields_rnn_attrs[] = {{4, ERT_FB_SCALAR, 1, 0}, {6, ERT_FB_SCALAR, 1, 0}, {8, ERT_FB_SCALAR, 1, 0}, {10, ERT_FB_SCALAR, 4, 0}, {12, ERT_FB_SCALAR, 4, 0}, {14, ERT_FB_SCALAR, 4, 0}};
static const ert_fb_field ert_fields_svdf_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_top_k_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_SCALAR, 4, 0}, {8, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_cumsum_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_SCALAR, 1, 0}, {8, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_gather_nd_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}};
static const ert_fb_field ert_fields_gather_elements_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}};
static const ert_fb_field ert_fields_scatter_nd_attrs[] = {{4, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_scatter_elements_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_non_max_suppression_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_SCALAR, 4, 0}, {8, ERT_FB_SCALAR, 4, 0}, {10, ERT_FB_SCALAR, 4, 0}, {12, ERT_FB_SCALAR, 1, 0}, {14, ERT_FB_SCALAR, 1, 0}};
static const ert_fb_field ert_fields_detection_postprocess_attrs[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_SCALAR, 4, 0}, {8, ERT_FB_SCALAR, 4, 0}, {10, ERT_FB_SCALAR, 1, 0}, {12, ERT_FB_SCALAR, 4, 0}, {14, ERT_FB_SCALAR, 4, 0}, {16, ERT_FB_SCALAR, 4, 0}, {18, ERT_FB_SCALAR, 4, 0}, {20, ERT_FB_SCALAR, 4, 0}, {22, ERT_FB_SCALAR, 4, 0}, {24, ERT_FB_SCALAR, 4, 0}};
static const ert_fb_field ert_fields_custom_attrs[] = {{4, ERT_FB_STRING, 1, 1}, {6, ERT_FB_STRING, 1, 1}};
static const ert_fb_field ert_fields_unpack_int4_attrs[] = {{4, ERT_FB_SCALARS, 4, 4}};
static const ert_fb_field ert_fields_quantization[] = {{4, ERT_FB_SCALARS, 4, 4}, {6, ERT_FB_SCALARS, 4, 4}, {8, ERT_FB_SCALAR, 4, 0}};
static const ert_fb_field ert_fields_tensor[] = {{4, ERT_FB_STRING, 1, 1}, {6, ERT_FB_SCALAR, 1, 0}, {8, ERT_FB_SCALAR, 1, 0}, {10, ERT_FB_SCALARS, 4, 4}, {12, ERT_FB_TABLE, ERT_TABLE_QUANTIZATION, 0}, {14, ERT_FB_SCALAR, 4, 0}, {16, ERT_FB_SCALAR, 8, 0}};
static const ert_fb_field ert_fields_buffer[] = {{4, ERT_FB_SCALARS, 1, 64}, {6, ERT_FB_SCALAR, 8, 0}};
static const ert_fb_field ert_fields_op[] = {{4, ERT_FB_SCALAR, 2, 0}, {6, ERT_FB_STRING, 1, 1}, {8, ERT_FB_SCALARS, 4, 4}, {10, ERT_FB_SCALARS, 4, 4}, {12, ERT_FB_SCALAR, 1, 0}, {14, ERT_FB_UNION, 48, 0}};
static const ert_fb_field ert_fields_key_value[] = {{4, ERT_FB_STRING, 1, 1}, {6, ERT_FB_STRING, 1, 1}};
static const ert_fb_field ert_fields_golden[] = {{4, ERT_FB_SCALARS, 4, 4}, {6, ERT_FB_SCALARS, 4, 4}};
static const ert_fb_field ert_fields_metadata[] = {{4, ERT_FB_STRING, 1, 1}, {6, ERT_FB_STRING, 1, 1}, {8, ERT_FB_STRING, 1, 1}, {10, ERT_FB_STRINGS, 1, 1}, {12, ERT_FB_SCALARS, 4, 4}, {14, ERT_FB_SCALARS, 4, 4}, {16, ERT_FB_STRING, 1, 1}, {18, ERT_FB_STRING, 1, 1}, {20, ERT_FB_STRING, 1, 1}, {22, ERT_FB_TABLES, ERT_TABLE_KEY_VALUE, 0}};
static const ert_fb_field ert_fields_packed[] = {{4, ERT_FB_SCALAR, 4, 0}, {6, ERT_FB_STRING, 1, 1}, {8, ERT_FB_SCALAR, 8, 0}, {10, ERT_FB_SCALAR, 8, 0}, {12, ERT_FB_SCALAR, 8, 0}, {14, ERT_FB_SCALARS, 4, 4}, {16, ERT_FB_SCALARS, 1, 64}};
static const ert_fb_field ert_fields_target[] = {{4, ERT_FB_STRING, 1, 1}, {6, ERT_FB_STRING, 1, 1}, {8, ERT_FB_STRING, 1, 1}};
static const ert_fb_field ert_fields_model[] = {{4, ERT_FB_TABLES, ERT_TABLE_TENSOR, 0}, {6, ERT_FB_TABLES, ERT_TABLE_BUFFER, 0}, {8, ERT_FB_TABLES, ERT_TABLE_OP, 0}, {10, ERT_FB_SCALARS, 4, 4}, {12, ERT_FB_SCALARS, 4, 4}, {14, ERT_FB_SCALAR, 8, 0}, {16, ERT_FB_TABLE, ERT_TABLE_METADATA, 0}, {18, ERT_FB_TABLES, ERT_TABLE_GOLDEN, 0}, {20, ERT_FB_TABLES, ERT_TABLE_PACKED, 0}, {22, ERT_FB_TABLES, ERT_TABLE_TARGET, 0}};
static const ert_fb_type ert_schema_tables[ERT_TABLE_COUNT] = {
    {10, ert_fields_conv2d_attrs},
    {10, ert_fields_depthwise_conv2d_attrs},
    {1, ert_fields_fully_connected_attrs},
    {2, ert_fields_matmul_attrs},
    {1, ert_fields_add_attrs},
    {1, ert_fields_sub_attrs},
    {1, ert_fields_mul_attrs},
    {2, ert_fields_binary_attrs},
    {3, ert_fields_unary_attrs},
    {0, ert_fields_lut_attrs},
    {0, ert_fields_prelu_attrs},
    {0, ert_fields_quantize_attrs},
    {0, ert_fields_dequantize_attrs},
    {0, ert_fields_cast_attrs},
    {11, ert_fields_max_pool2d_attrs},
    {10, ert_fields_average_pool2d_attrs},
    {3, ert_fields_reduce_attrs},
    {3, ert_fields_softmax_attrs},
    {1, ert_fields_log_softmax_attrs},
    {1, ert_fields_reshape_attrs},
    {1, ert_fields_transpose_attrs},
    {2, ert_fields_concat_attrs},
    {3, ert_fields_slice_attrs},
    {4, ert_fields_pad_attrs},
    {1, ert_fields_gather_attrs},
    {1, ert_fields_broadcast_to_attrs},
    {7, ert_fields_resize_attrs},
    {2, ert_fields_depth_to_space_attrs},
    {1, ert_fields_space_to_depth_attrs},
    {3, ert_fields_arg_max_attrs},
    {1, ert_fields_compare_attrs},
    {0, ert_fields_select_attrs},
    {0, ert_fields_copy_attrs},
    {0, ert_fields_assign_attrs},
    {15, ert_fields_lstm_attrs},
    {10, ert_fields_gru_attrs},
    {6, ert_fields_rnn_attrs},
    {2, ert_fields_svdf_attrs},
    {3, ert_fields_top_k_attrs},
    {3, ert_fields_cumsum_attrs},
    {1, ert_fields_gather_nd_attrs},
    {1, ert_fields_gather_elements_attrs},
    {1, ert_fields_scatter_nd_attrs},
    {2, ert_fields_scatter_elements_attrs},
    {6, ert_fields_non_max_suppression_attrs},
    {11, ert_fields_detection_postprocess_attrs},
    {2, ert_fields_custom_attrs},
    {1, ert_fields_unpack_int4_attrs},
    {3, ert_fields_quantization},
    {7, ert_fields_tensor},
    {2, ert_fields_buffer},
    {6, ert_fields_op},
    {2, ert_fields_key_value},
    {2, ert_fields_golden},
    {10, ert_fields_metadata},
    {7, ert_fields_packed},
    {3, ert_fields_target},
    {10, ert_fields_model},
};
#endif

#endif
