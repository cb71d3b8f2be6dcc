"""Item text for the simulator: titles such as "Red Wool Winter Scarf", whose words carry what shoppers care about."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from genrec.errors import UserError

COLOURS = ("Red", "Blue", "Green", "Black", "White", "Yellow", "Grey", "Pink", "Orange", "Navy")
STYLES = ("Winter", "Summer", "Vintage", "Modern", "Minimal", "Rustic", "Classic", "Playful")
# department: (materials, nouns)
DEPARTMENTS = {
    "Clothing": (
        ("Wool", "Cotton", "Linen", "Silk", "Denim", "Leather"),
        ("Scarf", "Jacket", "Sweater", "Socks", "Gloves", "Hat", "Shirt", "Trousers"),
    ),
    "Kitchen": (
        ("Steel", "Ceramic", "Glass", "Bamboo", "Copper", "Enamel"),
        ("Kettle", "Teapot", "Saucepan", "Bowl", "Mug", "Tray", "Ladle", "Jar"),
    ),
    "Garden": (
        ("Oak", "Terracotta", "Iron", "Cedar", "Zinc", "Wicker"),
        ("Planter", "Lantern", "Bench", "Trowel", "Birdhouse", "Table", "Trellis", "Stool"),
    ),
    "Home": (
        ("Velvet", "Rattan", "Brass", "Marble", "Walnut", "Felt"),
        ("Lamp", "Cushion", "Blanket", "Mirror", "Vase", "Rug", "Clock", "Basket"),
    ),
    "Travel": (
        ("Canvas", "Nylon", "Leather", "Aluminium", "Cork", "Hemp"),
        ("Backpack", "Suitcase", "Tent", "Flask", "Wallet", "Umbrella", "Pouch", "Hammock"),
    ),
}
VOCABULARY = tuple(
    dict.fromkeys(
        [*COLOURS, *STYLES, *(word for kinds in DEPARTMENTS.values() for words in kinds for word in words)]
    )
)
TITLES = sum(
    len(COLOURS) * len(materials) * len(STYLES) * len(nouns) for materials, nouns in DEPARTMENTS.values()
)


@dataclass(frozen=True)
class Goods:
    """The items' text, and the same text as numbers."""

    titles: tuple[str, ...]
    categories: tuple[tuple[str, str], ...]  # department, style
    words: NDArray[np.int64]  # (items, 4) indices into VOCABULARY: colour, material, style, noun


def compose(random: np.random.Generator, items: int) -> Goods:
    """Draw `items` different titles; every word of a title is a word of VOCABULARY.

    Raises UserError when more items are asked for than there are titles.
    """
    if items > TITLES:
        raise UserError(
            f"The simulator can name {TITLES} items, {items} were asked for",
            where="option items",
            cure=f"ask for {TITLES} or fewer",
        )
    every = [
        (department, (colour, material, style, noun))
        for department, (materials, nouns) in DEPARTMENTS.items()
        for colour in COLOURS
        for material in materials
        for style in STYLES
        for noun in nouns
    ]
    drawn = [every[n] for n in random.choice(len(every), size=items, replace=False)]
    index = {word: n for n, word in enumerate(VOCABULARY)}
    return Goods(
        titles=tuple(" ".join(words) for _, words in drawn),
        categories=tuple((department, words[2]) for department, words in drawn),
        words=np.array([[index[word] for word in words] for _, words in drawn], dtype=np.int64),
    )
