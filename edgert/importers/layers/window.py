"""Windows that slide over one, two or three spatial dimensions: kernel, stride, dilation and padding, resolved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from edgert.errors import ModelError
from edgert.importers.builder import RefusedError


class Window(NamedTuple):
    """Kernel, stride, dilation and padding of every spatial axis, in the order of the axes."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]  # padding, in positions
    after: tuple[int, ...]
    overhang: tuple[int, ...]  # positions beyond that padding which the last window reads when sizes are rounded up

    @property
    def rank(self) -> int:
        return len(self.kernel)

    @property
    def dilated(self) -> bool:
        return any(step != 1 for step in self.dilation)

    def only(self, *axes: int) -> Window:
        """The window over some of the axes."""
        return Window(*(tuple(items[axis] for axis in axes) for items in self))

    def image(self) -> Window:
        """Over an image: a sequence is one of height 1."""
        if self.rank != 1:
            return self
        return Window((1, *self.kernel), (1, *self.stride), (1, *self.dilation), (0, *self.before), (0, *self.after),
                      (0, *self.overhang))  # fmt: skip

    def unpadded(self) -> Window:
        nothing = (0,) * self.rank
        return self._replace(before=nothing, after=nothing, overhang=nothing)

    def sizes(self, sizes: Sequence[int]) -> tuple[int, ...]:
        """Sizes of what the window makes of an input of these sizes."""
        return tuple(
            (size + before + after + overhang - (kernel - 1) * dilation - 1) // stride + 1
            for size, kernel, stride, dilation, before, after, overhang in zip(sizes, *self, strict=True)
        )

    def attrs(self, kernel: bool, dilation: bool, overhang: bool = False) -> dict[str, int]:
        """The attributes of the IR's operators that slide windows over images."""
        place = self.image()
        bottom, right = (end + (more if overhang else 0) for end, more in zip(place.after, place.overhang, strict=True))
        attrs = {
            "stride_h": place.stride[0], "stride_w": place.stride[1],
            "pad_top": place.before[0], "pad_left": place.before[1], "pad_bottom": bottom, "pad_right": right,
        }  # fmt: skip
        if kernel:
            attrs |= {"kernel_h": place.kernel[0], "kernel_w": place.kernel[1]}
        if dilation:
            attrs |= {"dilation_h": place.dilation[0], "dilation_w": place.dilation[1]}
        return attrs


def rounded_up(sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int]) -> Window:
    """The window of pooling whose sizes are rounded up (Caffe, Torch7): one that is larger than the padded input still
    fits once, if the step is larger than what lies outside."""
    fitting = []
    for size, taps, step, margin in zip(sizes, kernel, stride, pad, strict=True):
        room = size + 2 * margin
        if taps - room >= max(step, 1):
            raise ModelError(f"a window of {taps} does not fit into {room} positions")
        fitting.append(min(taps, room))
    return window(sizes, fitting, stride=stride, before=pad, ceil=True)


def window(
    sizes: Sequence[int],
    kernel: Sequence[int],
    *,
    stride: Sequence[int] | None = None,
    dilation: Sequence[int] | None = None,
    before: Sequence[int] | None = None,
    after: Sequence[int] | None = None,
    automatic: str = "",
    ceil: bool = False,
) -> Window:
    """The window over an input of the given spatial sizes.

    automatic: "SAME_UPPER" (TensorFlow's SAME), "SAME_LOWER" or "VALID" take the place of before and after.
    ceil: sizes are rounded up, but a window must begin inside the input or the padding before it (as PyTorch, ONNX and
    Caffe have it).

    Raises ModelError for what fits no input, RefusedError for negative padding and more than 3 dimensions.
    """
    rank = len(sizes)
    stride = tuple(stride) if stride is not None else (1,) * rank
    dilation = tuple(dilation) if dilation is not None else (1,) * rank
    starts = list(before) if before is not None else [0] * rank
    ends = list(after) if after is not None else list(starts)
    if {len(kernel), len(stride), len(dilation), len(starts), len(ends)} != {rank}:
        raise ModelError(f"strides, dilations, padding or kernel do not fit {rank} spatial dimensions")
    if not 1 <= rank <= 3:
        raise RefusedError(f"its input has {rank} spatial dimensions", "1 to 3 are known (sequences, images, volumes)")
    if min(*stride, *dilation, *kernel) < 1:
        raise ModelError("strides, dilations and kernel must be at least 1")
    if min(*starts, *ends) < 0:
        raise RefusedError("negative padding", "slice its input before it")
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        for axis, size in enumerate(sizes):
            total = max((-(-size // stride[axis]) - 1) * stride[axis] + reach[axis] - size, 0)
            small, large = total // 2, total - total // 2
            starts[axis], ends[axis] = (small, large) if automatic == "SAME_UPPER" else (large, small)
    elif automatic == "VALID":
        starts, ends = [0] * rank, [0] * rank
    overhang = [0] * rank
    for axis, size in enumerate(sizes):
        room = size + starts[axis] + ends[axis] - reach[axis]
        if room < 0:
            raise ModelError(f"a window of {reach[axis]} does not fit into {room + reach[axis]} positions")
        if ceil:
            count = -(-room // stride[axis]) + 1
            if (count - 1) * stride[axis] >= size + starts[axis]:
                count -= 1  # a window must begin inside the input or its left padding
            overhang[axis] = max((count - 1) * stride[axis] - room, 0)
    return Window(tuple(kernel), stride, dilation, tuple(starts), tuple(ends), tuple(overhang))
