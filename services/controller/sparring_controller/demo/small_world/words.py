"""The words of the small world: eight kinds of eight words, and the numbers 1 to 20."""

from typing import Final

KINDS: Final[dict[str, tuple[str, ...]]] = {
    "fruit": ("apple", "plum", "pear", "mango", "lemon", "cherry", "peach", "melon"),
    "animal": ("cat", "horse", "goat", "otter", "rabbit", "tiger", "whale", "mouse"),
    "tool": ("saw", "hammer", "drill", "wrench", "chisel", "rake", "spade", "axe"),
    "drink": ("tea", "coffee", "milk", "juice", "cocoa", "cider", "water", "soda"),
    "metal": ("zinc", "iron", "copper", "tin", "nickel", "steel", "brass", "chrome"),
    "colour": ("red", "blue", "green", "yellow", "purple", "white", "black", "grey"),
    "vehicle": ("car", "bus", "train", "tram", "truck", "boat", "plane", "bike"),
    "instrument": ("piano", "violin", "flute", "drum", "guitar", "trumpet", "cello", "harp"),
}
KIND_OF: Final[dict[str, str]] = {word: kind for kind, words in KINDS.items() for word in words}
NUMBERS: Final[tuple[str, ...]] = tuple(str(number) for number in range(1, 21))
EXTREMES: Final[tuple[str, ...]] = ("largest", "smallest")


def with_article(kind: str) -> str:
    """The kind with its indefinite article: "a fruit", "an animal"."""
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def extreme_of(extreme: str, numbers: tuple[str, ...]) -> str:
    """The largest or the smallest of some numbers, all given as text."""
    return max(numbers, key=int) if extreme == "largest" else min(numbers, key=int)
