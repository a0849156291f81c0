"""Philox4x32-10 and the draws made from it: the twin of src/base/rng.c, vectorised with NumPy."""
import numpy as np


def stream(name, a=0, b=0):
    """64-bit FNV-1a over the name with its terminator, then a and b as little-endian bytes."""
    h = 0xCBF29CE484222325
    for byte in name.encode() + b"\0" + a.to_bytes(8, "little") + b.to_bytes(8, "little"):
        h = ((h ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def u32(seed, stream_number, count):
    """The first `count` numbers of (seed, stream): lanes of blocks 0, 1, ..."""
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)
    mask = np.uint64(0xFFFFFFFF)
    c = [blocks & mask, blocks >> np.uint64(32),
         np.full_like(blocks, stream_number & 0xFFFFFFFF), np.full_like(blocks, stream_number >> 32)]
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ np.uint64(k0), p1 & mask,
             (p0 >> np.uint64(32)) ^ c[3] ^ np.uint64(k1), p0 & mask]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=1).reshape(-1)[:count]


def uniform(seed, stream_number, count):
    """In [0, 1), multiples of 2^-24."""
    return (u32(seed, stream_number, count) >> np.uint64(8)).astype(np.float64) * 2.0 ** -24


def weights(seed, name, shape, bound):
    """A segment's initial values U(-bound, bound) in PyTorch's order, rounded to float32."""
    count = int(np.prod(shape)) if shape else 1
    return ((2 * uniform(seed, stream(name), count) - 1) * bound).astype(np.float32).reshape(shape)


def normal_weights(seed, name, shape, deviation):
    """A segment's initial values N(0, deviation^2): Box-Muller on consecutive pairs."""
    count = int(np.prod(shape))
    u = uniform(seed, stream(name), 2 * count)
    z = np.sqrt(-2 * np.log(1 - u[0::2])) * np.cos(2 * np.pi * u[1::2])
    return (z * deviation).astype(np.float32).reshape(shape)


def projections(name, values, n=64):
    """n random projections of a tensor (flattened in PyTorch's order) on U(-1, 1) vectors."""
    flat = np.asarray(values, dtype=np.float64).reshape(-1)
    return [float(flat @ (2 * uniform(k, stream("projection." + name), flat.size) - 1)) for k in range(n)]
