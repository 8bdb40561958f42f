"""What compilers do not make of plain loops: sums that stay in vector registers, and packed lists.

Vectors have the same lengths on every machine, so that results do not depend on it.
Twins: tests/oracle_layers.py.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_PIECES = (6, 64), (4, 64), (2, 64), (1, 64), (1, 16), (1, 1)  # vectors and their bytes; an element at least
_PACKED = 16
_INT32, _INT64 = ir.IntType(32), ir.IntType(64)


def _splat(builder: Any, value: Any, lanes: int) -> Any:
    vector = ir.VectorType(value.type, lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, _INT32(0))
    every = ir.Constant(ir.VectorType(_INT32, lanes), [0] * lanes)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), every)


def _vector_at(builder: Any, data: Any, index: Any, lanes: int, element: Any) -> Any:
    pointer = ir.VectorType(element, lanes).as_pointer()
    return builder.bitcast(builder.gep(data, [index]), pointer)


@intrinsic
def add_rows(typing_context, current, at, size, unit, amount, begin, end, weight, base, stride):
    """current[at + j] += amount[e] * weight[base + unit[e] * stride + j] for 0 <= j < size, begin <= e < end.

    Each sum has the order of e.  current, amount, weight F[...], unit int32[...], all contiguous.
    """

    def codegen(context, builder, signature, args):
        data = [
            context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args, args, strict=True)
        ]
        current, at, size, unit, amount, begin, end, weight, base, stride = data
        element = context.get_data_type(signature.args[0].dtype)
        n_bytes = context.get_abi_sizeof(element)
        done = _INT64(0)
        for vectors, width in _PIECES:
            lanes = max(1, width // n_bytes)
            piece = _INT64(vectors * lanes)
            n = builder.udiv(builder.sub(size, done), piece)
            with cgutils.for_range(builder, n) as loop:
                j = builder.add(done, builder.mul(loop.index, piece))
                parts = [builder.add(j, _INT64(v * lanes)) for v in range(vectors)]
                targets = [_vector_at(builder, current, builder.add(at, k), lanes, element) for k in parts]
                totals = [cgutils.alloca_once(builder, ir.VectorType(element, lanes)) for _ in parts]
                for total, target in zip(totals, targets, strict=True):
                    builder.store(builder.load(target, align=n_bytes), total)
                with cgutils.for_range_slice(builder, begin, end, _INT64(1), _INT64) as (e, _):
                    row = builder.sext(builder.load(builder.gep(unit, [e])), _INT64)
                    place = builder.add(base, builder.mul(row, stride))
                    factor = _splat(builder, builder.load(builder.gep(amount, [e])), lanes)
                    for total, k in zip(totals, parts, strict=True):
                        values = _vector_at(builder, weight, builder.add(place, k), lanes, element)
                        product = builder.fmul(factor, builder.load(values, align=n_bytes))
                        builder.store(builder.fadd(builder.load(total), product), total)
                for total, target in zip(totals, targets, strict=True):
                    builder.store(builder.load(total), target, align=n_bytes)
            done = builder.add(done, builder.mul(n, piece))
        return context.get_dummy_value()

    whole = types.int64
    return types.none(current, whole, whole, unit, amount, whole, whole, weight, whole, whole), codegen


@intrinsic
def _pack_piece(typing_context, flags, k, unit, at):
    """Write to unit[at:] which of flags[k : k + 16] are not zero, counted from flags[0]; returns how many.

    All 16 places of `unit` are written.
    """

    def codegen(context, builder, signature, args):
        flags, k, unit, at = (
            context.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args, args, strict=True)
        )
        byte, numbers = ir.IntType(8), ir.VectorType(_INT32, _PACKED)
        found = builder.load(_vector_at(builder, flags, k, _PACKED, byte), align=1)
        mask = builder.icmp_unsigned("!=", found, ir.Constant(found.type, [0] * _PACKED))
        ascending = ir.Constant(numbers, list(range(_PACKED)))
        number = builder.add(_splat(builder, builder.trunc(k, _INT32), _PACKED), ascending)
        kind = ir.FunctionType(numbers, [numbers, mask.type, numbers])
        name = f"llvm.experimental.vector.compress.v{_PACKED}i32"
        compress = cgutils.get_or_insert_function(builder.module, kind, name)
        packed = builder.call(compress, [number, mask, ir.Constant(numbers, ir.Undefined)])
        builder.store(packed, _vector_at(builder, unit, at, _PACKED, _INT32), align=4)
        count = builder.ctpop(builder.bitcast(mask, ir.IntType(_PACKED)))
        return builder.zext(count, _INT64)

    return types.int64(flags, types.int64, unit, types.int64), codegen


@intrinsic
def flags_64(typing_context, flags, k):
    """uint64: which of flags[k : k + 64], uint8, are not zero, the first as the lowest bit."""

    def codegen(context, builder, signature, args):
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        found = builder.load(_vector_at(builder, data, args[1], 64, ir.IntType(8)), align=1)
        mask = builder.icmp_unsigned("!=", found, ir.Constant(found.type, [0] * 64))
        return builder.bitcast(mask, _INT64)

    return types.uint64(flags, types.int64), codegen


@intrinsic
def lowest_bit(typing_context, bits):
    """int64: the number of the lowest bit that is set; at least one is."""

    def codegen(context, builder, signature, args):
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), codegen


@njit(cache=True, nogil=True, error_model="numpy")
def pack(flags, unit):
    """List, ascending, which flags are not zero; returns how many.

    flags  uint8[n]
    unit   int32[n]  written; what stands behind the list is of no meaning
    """
    n, whole = np.int64(0), flags.size - flags.size % _PACKED
    for k in range(0, whole, _PACKED):
        n += _pack_piece(flags, k, unit, n)
    for k in range(whole, flags.size):
        unit[n] = k
        n += np.int64(flags[k] != 0)
    return n
