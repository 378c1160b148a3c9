"""The words of the demo's shop: what things are, what they can be made of, and the several ways to say each."""

from collections.abc import Iterator
from dataclasses import dataclass


def _synonyms(table: str) -> dict[str, list[str]]:
    """Each line's words, under the first of them: the trait."""
    lines = [line.strip().split(", ") for line in table.strip().splitlines()]
    return {words[0]: words for words in lines}


COLOURS = _synonyms("""
    red, crimson, scarlet
    blue, azure, cobalt
    green, emerald, jade
    yellow, lemon, mustard
    black, onyx, ebony
    white, ivory, alabaster
    grey, charcoal, slate
    brown, chestnut, chocolate
    pink, rose, blush
    purple, violet, plum
    orange, tangerine, amber
    beige, sand, cream
""")

MATERIALS = _synonyms("""
    leather, cowhide, nappa
    velvet, velour, plush
    wood, timber, hardwood
    metal, steel, iron
    wicker, rattan, cane
    cotton, jersey, poplin
    linen, flax, hemp
    wool, merino, lambswool
    silk, satin, charmeuse
    denim, chambray
    ceramic, stoneware, porcelain
    plastic, polypropylene, acrylic
    aluminium, aluminum, alloy
    stone, marble, granite
    canvas, sailcloth
    glass, crystal
""")

STYLES = _synonyms("""
    modern, contemporary, minimalist
    vintage, retro, nostalgic
    rustic, farmhouse, country
    luxury, premium, deluxe
    outdoor, garden, weatherproof
    kids, childrens, junior
    sports, athletic, gym
    formal, smart, elegant
    winter, thermal, insulated
    wireless, cordless, bluetooth
    portable, travel, lightweight
    gaming, gamer, esports
""")

STYLES_OF = {
    "furniture": ["modern", "vintage", "rustic", "luxury", "outdoor", "kids"],
    "home": ["modern", "vintage", "rustic", "luxury", "kids"],
    "kitchen": ["modern", "vintage", "rustic", "luxury", "outdoor"],
    "clothing": ["formal", "sports", "winter", "kids", "vintage", "luxury"],
    "bags": ["formal", "sports", "vintage", "luxury", "kids"],
    "electronics": ["wireless", "portable", "gaming", "kids", "outdoor", "luxury"],
}

# By category: names of the thing | materials | usual price | what a shop praises about it
THINGS = {
    "furniture": """
        sofa, couch, settee | leather velvet linen | 799 | seats three in comfort, deep cushions, removable covers
        armchair, recliner, easy chair | leather velvet wicker | 349 | high back, padded arms, swivels and reclines
        table, dining table, trestle | wood metal stone glass | 429 | seats six guests, extends for parties, wipe-clean top
        wardrobe, closet, armoire | wood metal | 599 | two hanging rails, mirrored door, soft-close hinges
        bookcase, bookshelf, shelving | wood metal glass | 189 | five adjustable shelves, fixes to the wall, holds heavy volumes
        desk, bureau, workstation | wood metal glass | 259 | cable tidy, keyboard tray, room for two screens
        stool, barstool, tall seat | wood metal leather | 79 | counter height, rests for the feet, stacks neatly
        bed, bedstead, divan | wood metal velvet | 499 | slatted base, fits a standard mattress, storage beneath
        dresser, chest of drawers, tallboy | wood metal | 279 | six deep drawers, dovetail joints, anti-tip strap
        footstool, ottoman, pouffe | leather velvet wicker | 99 | put your feet up, lid lifts for storage, firm padding
        sideboard, credenza, buffet | wood metal stone | 389 | sliding doors, space for crockery, levelling feet
    """,
    "home": """
        lamp, light, lantern | metal glass ceramic wicker | 49 | dimmable bulb included, warm glow, long flex
        rug, carpet, runner | wool cotton linen silk | 129 | anti-slip backing, thick pile, safe with underfloor heating
        curtains, drapes, window panels | velvet linen cotton silk | 69 | blackout lining, eyelet heading, keeps draughts out
        cushion, pillow, bolster | velvet cotton linen wool silk | 24 | hidden zip, feather filling, plumps up quickly
        vase, urn, flower jar | ceramic glass metal stone | 34 | watertight, holds a large bouquet, hand thrown
        mirror, looking glass, reflector | wood metal wicker | 89 | bevelled edge, hangs either way, anti-fog coating
        blanket, throw, coverlet | wool cotton velvet linen | 44 | fringed ends, generous size, cosy on cold evenings
        clock, timepiece, chronometer | wood metal glass plastic | 39 | silent sweep, easy to read dial, runs a year on one battery
        quilt, duvet, comforter | cotton silk wool | 95 | ten tog, box stitched, hypoallergenic filling
        bin, trash can, wastebasket | metal plastic wicker | 29 | pedal operated, removable bucket, seals in smells
    """,
    "kitchen": """
        saucepan, cooking pot, stockpot | metal aluminium ceramic | 42 | pouring lip, lid with vent, works on induction
        frying pan, skillet, griddle | metal aluminium ceramic | 38 | non-stick coating, sears steak, handle stays cool
        mug, cup, beaker | ceramic glass plastic metal | 9 | holds a large coffee, microwave proof, comfortable handle
        kettle, water boiler, tea urn | metal glass plastic | 45 | boils in two minutes, limescale filter, shuts off by itself
        plate, dish, platter | ceramic stone plastic wood | 12 | dishwasher proof, raised rim, stacks in the cupboard
        chopping board, cutting board, butcher block | wood plastic stone glass | 22 | juice groove, kind to knives, non-slip feet
        jug, pitcher, carafe | glass ceramic metal plastic | 18 | drip-free spout, holds two litres, fits the fridge door
    """,
    "clothing": """
        trousers, pants, slacks | cotton linen wool denim leather | 55 | straight leg, belt loops, side pockets
        jumper, sweater, pullover | wool cotton silk | 48 | ribbed cuffs, crew neck, does not itch
        coat, overcoat, parka | wool leather denim cotton | 140 | deep hood, storm flap, inside pocket
        trainers, sneakers, running shoes | leather canvas cotton | 75 | cushioned sole, reflective heel, breathable lining
        dress, gown, frock | cotton silk velvet linen denim | 68 | knee length, concealed zip, gathered waist
        shirt, blouse, button-down | cotton linen silk denim | 36 | stiff collar, single cuff, easy to iron
        hat, cap, beanie | wool cotton leather canvas | 19 | turn-up brim, one size fits most, packs flat
        scarf, shawl, neck wrap | wool silk cotton linen | 26 | tasselled ends, wide enough for the shoulders, very soft
        gloves, mittens, gauntlets | leather wool cotton | 28 | touchscreen fingertips, snug wrist, warm hands
    """,
    "bags": """
        backpack, rucksack, knapsack | canvas leather denim | 65 | padded straps, sleeve for a laptop, bottle pocket
        handbag, purse, clutch | leather canvas silk velvet | 85 | magnetic snap, shoulder chain, card slots inside
        suitcase, luggage, trolley case | plastic aluminium leather canvas | 120 | four spinner wheels, combination lock, fits the cabin
    """,
    "electronics": """
        headphones, headset, earphones | plastic metal leather aluminium | 89 | noise cancelling, thirty hours of music, clear microphone
        television, tv, flat screen | plastic metal aluminium | 480 | sharp picture, streaming apps, wall bracket included
        speaker, loudspeaker, soundbar | plastic wood metal aluminium | 110 | deep bass, pairs in stereo, room filling sound
        torch, flashlight, headlamp | plastic metal aluminium | 25 | bright beam, three brightness levels, survives a fall
        fan, ventilator, air cooler | plastic metal aluminium | 59 | oscillates, quiet at night, three speeds
        keyboard, keypad, typing deck | plastic metal aluminium wood | 72 | mechanical keys, backlit letters, tilting feet
    """,
}

BRANDS = [
    "Harlow & Finch",
    "Nordby",
    "Casa Lume",
    "Oak & Ember",
    "Wren",
    "Tidewater",
    "Brightside",
    "Mason & Daughters",
]

NAMES = [
    "{brand} {style} {colour} {material} {thing}",
    "{colour} {thing} by {brand}",
    "{brand} {thing}, {colour} {material}",
    "{style} {material} {thing} – {colour}",
]
OPENINGS = [
    "Our {colour} {thing} in {material}, from the {style} collection.",
    "Meet the {style} {thing} from {brand}: {material}, finished in {colour}.",
    "Made of {material} and coloured {colour}, the {thing} at the heart of our {style} range.",
    "{style} by design: {colour} {material}, and the {thing} you will keep for years.",
]
FILLERS = [
    "Free delivery on orders over 50 euros.",
    "Designed in our own studio & checked by hand.",
    "Customers tell us they would buy it again.",
    "Two-year guarantee, thirty days to change your mind.",
    "Photographs may differ slightly from the item.",
    "Ships in recyclable packaging.",
    "A thoughtful present for a new home or a birthday.",
]
EXTRAS = [
    "easy to clean",
    "tested to EU standards",
    "responsibly sourced",
    "made in small batches",
    "spare parts available",
    "gift wrap on request",
    "instructions in six languages",
    "no tools needed",
    "award-winning design",
    "carbon-neutral delivery",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a thing is: its names, what it can be made of, its usual price, and what a shop praises about it."""

    category: str
    names: list[str]
    materials: list[str]
    price: int
    praise: list[str]


def _kinds() -> Iterator[Kind]:
    for category, table in THINGS.items():
        for line in table.strip().splitlines():
            names, materials, price, praise = line.strip().split(" | ")
            yield Kind(category, names.split(", "), materials.split(), int(price), praise.split(", "))


KINDS = list(_kinds())
WORDS = {
    "thing": {kind.names[0]: kind.names for kind in KINDS},
    "colour": COLOURS,
    "material": MATERIALS,
    "style": STYLES,
}
