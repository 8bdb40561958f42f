"""What to do instead of an operation that has no spiking counterpart, for torch and ONNX alike."""

from __future__ import annotations

import re

_RELU = "train with nn.ReLU or nn.ReLU6 instead"
_NORM = "train with BatchNorm, which folds into the weights"
_TIME = "a network with memory is not converted: train a spiking one, or use a feed-forward model"
_GATE = "use fixed weights: products of activations (gates, attention) have no rule"
_SIZE = "train without upsampling; convolutions and pooling only shrink maps"
_ORDER = "keep channels in order: use a grouped convolution, or a convolution of size 1 to mix channels"
_PART = "use whole activations: two layers instead of one that is split"
_PICK = "let the model end with one score a class; choose the largest afterwards"
_FLOW = "compute without comparing activations: layers, ReLU, addition, concatenation"
_CELL = "reshape or index the data before the model"

_FIXES: dict[str, str] = {
    r"gelu|leaky_?relu|p_?relu|_prelu_kernel|[cs]?elu|silu|(hard)?swish|mish|softplus|softsign|rrelu": _RELU,
    r"hardsigmoid|tanh|tanhshrink|log_?sigmoid.*|hardshrink|softshrink|erf|glu|thresholded_?relu": _RELU,
    r"sigmoid": "at the output: leave it out, the largest score is the same; inside: " + _RELU,
    r"_?(log_?)?softmax": "a softmax is dropped at the output only; " + _GATE,
    r"(native_)?(layer|group|instance)_?norm(alization)?|(fused_)?rms_?norm.*|local_response_norm|lrn": _NORM,
    r"lp_?norm(alization)?|meanvariancenormalization|linalg_vector_norm|norm|var(_mean)?|std(_mean)?": _NORM,
    r"lstm|gru|rnn.*|(quantized_)?(lstm|gru)_cell|scan|loop": _TIME,
    r"mul|scaled_dot_product_attention|_native_multi_head_attention|bmm|matmul|mm|einsum|bilinear": _GATE,
    r"_trilinear|baddbmm|attention|multiheadattention|_transformer_encoder_layer_fwd": _GATE,
    r"embedding.*|_embedding_bag.*|one_?hot|gather(nd|elements)?": "encode the input before the model",
    r"conv_?transpose.*|upsample.*|_upsample.*|resize|interpolate.*|max_?unpool.*|col2im": _SIZE,
    r"grid_?sampl.*|affine_grid.*|fold|im2col|unfold": _SIZE,
    r"pixel_(un)?shuffle|channel_shuffle|native_channel_shuffle|depthtospace|spacetodepth|permute": _ORDER,
    r"transpose|roll|flip|rot90|reversesequence": _ORDER,
    r"split.*|chunk|unbind|tensor_split|select|slice|narrow|index.*|take.*|masked_.*": _PART,
    r"(select|slice|index|diagonal|as_strided)_?scatter|.*_scatter|scatter.*|copy|fill|index_put": _PART,
    r"arg(max|min)|top_?k|sort|argsort|max|min|median|cummax|cummin|hardmax|kthvalue|nonzero": _PICK,
    r"where|gt|lt|ge|le|eq|ne|greater.*|less.*|equal|sign|heaviside|not|and|or|if|cond": _FLOW,
    r"maximum|minimum|logical_.*|item|_local_scalar_dense|while_loop|isnan": _FLOW,
    r"rand.*|bernoulli.*|normal.*|uniform.*|multinomial|dropout": (
        "a model must give the same output each time"
    ),
    r"stack": "use torch.cat(..., dim=1)",
    r"div|reciprocal|true_divide|floor_divide|remainder|fmod": "use fixed weights",
    r"abs|pow|exp.*|log.*|sqrt|rsqrt|square|sin|cos|cumsum|prod|round|floor|ceil|std": _RELU,
    r"cdist|cosine_similarity|pairwise_distance|_cdist_forward|as_strided|diagonal": _CELL,
    r"max_pool3d.*|avg_pool3d|adaptive_.*3d|conv3d": "use layers over one or two axes of space",
}

MODULE_FIXES: dict[str, str] = {
    "MultiheadAttention": _GATE,
    "Bilinear": _GATE,
    "InstanceNorm": _NORM,
    "GroupNorm": _NORM,
    "LayerNorm": _NORM,
    "RMSNorm": _NORM,
    "LocalResponseNorm": _NORM,
    "GRU": _TIME,
    "RNN": _TIME,
    "LSTM": _TIME,
    "PixelShuffle": _ORDER,
    "PixelUnshuffle": _ORDER,
    "ChannelShuffle": _ORDER,
    "LPPool": "use average or maximum pooling",
}
"""By the beginning of the name of a torch module whose operations are spread over several."""


def fix_for(operation: str) -> str:
    """What to do instead of `operation`, a name of ATen or ONNX."""
    for pattern, fix in _FIXES.items():
        if re.fullmatch(pattern, operation, flags=re.IGNORECASE):
            return fix
    return "use layers that convert: linear, convolution, batch norm, ReLU, pooling, addition, concatenation"
