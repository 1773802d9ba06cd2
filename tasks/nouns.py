"""Capitalised nouns that GPT-2's tokenizer spells as a capital (with its space) and one other token.

There are none with Q or X.
"""

NOUNS = tuple(
    """
    Ache Aide Aisle Ape Aperture Aroma Auctions Aversion
    Bacteria Bait Bamboo Banners Basket Batch Batter Bead Belly Bias Bishops Bison Bounds Bribe Bricks Bump Bunch Bunk
    Burden
    Cabbage Cables Cactus Caddy Cages Calf Cane Cattle Cauldron Cement Cider Cone Cords Cores Cottage Cough Crib Cuff
    Cursor
    Dancer Darts Daughters Density Dessert Diameter Diction Dime Diner Dioxide Ditch Docks Dose Dossier Dresses Drought
    Duct Dune Duties Dye
    Eave Ebook Ecosystem Eel Ego Eruption Ewe
    Fable Famine Fandom Fax Feat Fence Fiasco Fiddle Fidelity Filler Fingers Fixture Fodder Foe Foil Follower Folly
    Fraction Fries Frown Fruits Fudge Fumes Fuse Fuss
    Gable Gander Gasp Gist Gland Goggles Gossip Gown Graft Grams Grief Grit Groom Gull Gutter
    Hairs Haze Hiatus Hike Hilt Hinge Hint Hips Hoe Holes Hometown Hordes Hose
    Icing Icons Ideals Ions
    Jails Jargon Jars Jaws Jigsaw Jockey Joke Joust Jowl Jug Jumper Jute
    Kale Keg Kernels Kettle Kicks Kipper Kite Kitten Knee
    Lace Lament Lamps Lanes Laptop Lark Lasso Latch Laughter Lava Layers Ledge Lender Lenses Lid Lighter Lighthouse Lint
    Litter Lobe Locket Longevity Louse Luggage Lumber Lute Lyrics
    Mango Manners Mantis Mantle Masks Mates Mice Mink Mitten Mixture Molar Mop Moth Motto Mould Mound Mule Mummy Mural
    Mutation Muzzle
    Nail Nanny Nape Nerve Nests Nettle Niece Nod Nodes Nonsense Noodle Nook Noses Noun Nuns Nuts Nylon Nymph
    Oar Oasis Oatmeal Oats Oceans Oils Omission Oven Ozone
    Paddle Pairs Pane Parchment Pardon Pause Pavement Paws Pelt Pensions Pest Piety Pile Pills Pinnacle Pits Pivot
    Podium Poodle Pools Pouch Poultry Prawn Puck Pudding Puddle Puma Pup Purity
    Racket Racks Rake Ramps Ranks Ransom Rapper Ration Rattle Rental Rents Riddle Rides Riff Rink Risks Rival Rivalry
    Roles Rope Roster Rotation Routine Rows
    Sacks Sails Salsa Saturation Scent Sender Senses Sibling Sidelines Sigh Sights Sincerity Sink Sizes Sled Sleeve
    Sling Sock Sockets Soot Sorrow Sorts
    Tabs Tack Tactic Tally Tandem Tarp Tasks Taunt Tendon Tension Tents Tides Tiles Tilt Tires Tissue Tolerance Tones
    Tournaments Toxin Tractor Trench Tribute Trolley Trough Tubes Tumble Tuna Tusk
    Umpire Uprising Utopia
    Vantage Vase Veal Vents Veto Vial Vines Visions Vodka Vole Vow Vulture
    Wafer Waffle Wages Wagon Wart Wasp Wicker Widget Wig Winger Wires Wishes Wombat Worry Worship Wound Wreath Wreck
    Wren Wrench Wrist
    Yacht Yarn Yawn Yells Yew Yield Yoke Yolk
    Zebra Zeros Zest Zinc Zipper Zither Zodiac Zones
    """.split()  # noqa: SIM905 - a list literal would take a line a word
)
