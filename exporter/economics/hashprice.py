"""What a petahash per second earns in a day, from difficulty and block reward."""

from typing import Final

from exporter.model.units import HASHES_PER_DIFFICULTY, HASHES_PER_PETAHASH, SATOSHIS_PER_BITCOIN, SECONDS_PER_DAY

HALVING_BLOCKS: Final = 210_000
_INITIAL_SUBSIDY: Final = 50 * SATOSHIS_PER_BITCOIN

_MAX_TARGET: Final = 0xFFFF << 208
"""The target at difficulty 1."""


def subsidy_satoshis(height: int) -> int:
    """Return the subsidy of the block at ``height``, in satoshis."""
    return _INITIAL_SUBSIDY >> (height // HALVING_BLOCKS)


def subsidy(height: int) -> float:
    """Return the subsidy of the block at ``height``, in bitcoins."""
    return subsidy_satoshis(height) / SATOSHIS_PER_BITCOIN


def blocks_until_halving(height: int) -> int:
    """Count the blocks from the tip at ``height`` to the first block with half its subsidy."""
    return HALVING_BLOCKS - height % HALVING_BLOCKS


def target_from_bits(bits: int) -> int:
    """Unpack a block header's compact target (``nBits``, positive ones only)."""
    exponent, mantissa = bits >> 24, bits & 0x007F_FFFF
    return (mantissa << 8 * exponent) >> 24


def bits_from_target(target: int) -> int:
    """Pack a target above 0 as a block header does, rounded down to 23 bits (Core's ``GetCompact``)."""
    size = target.bit_length() // 8 + 1  # bytes, with a bit for the sign
    return (size << 24) | (target << 24) >> (8 * size)


def difficulty_from_bits(bits: int) -> float:
    """Return the difficulty of a compact target. Raises ZeroDivisionError for the target 0, which no block has."""
    return _MAX_TARGET / target_from_bits(bits)


def hashprice(difficulty: float, reward: float) -> float:
    """Return what 1 PH/s earns per day: in bitcoins where ``reward`` (per block) is, in dollars where it is in dollars.

    Raises:
        ZeroDivisionError: at a difficulty of 0.
    """
    return HASHES_PER_PETAHASH * SECONDS_PER_DAY * reward / (difficulty * HASHES_PER_DIFFICULTY)


def network_hashrate(difficulty: float, block_interval: float) -> float:
    """Estimate the network's hashrate (H/s) from the mean interval between blocks (s), which must not be 0."""
    return difficulty * HASHES_PER_DIFFICULTY / block_interval
