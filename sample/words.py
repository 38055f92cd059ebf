"""The vocabulary of the sample marketplace: what sellers write about each kind of object.

`{colour}` and `{second}` stand for the colours of the drawn object; every other statement is true
of each drawing of its kind.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class KindWords:
    """Texts of one kind: category levels below the root, titles, remarks, prices."""

    levels: tuple[str, ...]
    titles: tuple[str, ...]
    remarks: tuple[str, ...]
    pounds: tuple[int, int]  # the lowest and the highest price asked


WORDS: Final[dict[str, KindWords]] = {
    "armchair": KindWords(
        ("Living Room Furniture", "Armchairs & Footstools"),
        ("{colour} armchair", "Comfy {colour} armchair on wooden legs"),
        ("Very comfortable and sturdy.", "From a smoke free home.", "Fits a small lounge."),
        (20, 280),
    ),
    "potted plant": KindWords(
        ("Garden & Patio", "Plants"),
        ("House plant in {colour} pot", "Healthy pot plant with {colour} pot"),
        ("Easy to keep and growing well.", "Likes a bright window.", "Pot is included."),
        (4, 30),
    ),
    "table lamp": KindWords(
        ("Lighting & Fittings", "Table Lamps"),
        ("Table lamp with {colour} shade", "Bedside lamp - {colour} shade"),
        ("Fully working with bulb.", "Gives a warm light.", "Shade comes off for cleaning."),
        (5, 45),
    ),
    "mirror": KindWords(
        ("Decorative Items", "Mirrors"),
        ("Wall mirror with {colour} frame", "{colour} framed mirror"),
        ("Glass has no scratches.", "Hook on the back.", "Makes a hall look bigger."),
        (10, 90),
    ),
    "pram": KindWords(
        ("Prams & Pushchairs",),
        ("{colour} pram", "Classic pram in {colour}"),
        ("Hood folds down and wheels come off.", "Used for one baby.", "Brake works fine."),
        (30, 350),
    ),
    "teddy bear": KindWords(
        ("Toys", "Soft Toys"),
        ("{colour} teddy bear", "Cuddly {colour} bear"),
        ("Freshly washed.", "Looking for a new friend.", "Lovely and soft."),
        (3, 25),
    ),
    "building blocks": KindWords(
        ("Toys", "Building & Wooden Toys"),
        ("Wooden building blocks", "Set of toy blocks"),
        ("All blocks are in the photo.", "Hours of fun.", "A few small marks from play."),
        (4, 30),
    ),
    "cot": KindWords(
        ("Nursery Furniture", "Cots & Beds"),
        ("{colour} cot with mattress", "Baby cot painted {colour}"),
        ("Takes apart for transport.", "Mattress is very clean.", "All screws are there."),
        (25, 180),
    ),
    "hammer": KindWords(
        ("Hand Tools", "Hammers"),
        ("Claw hammer with {colour} grip", "Hammer - {colour} handle grip"),
        ("Well balanced.", "Head is tight on the handle.", "From a tidy workshop."),
        (3, 22),
    ),
    "saw": KindWords(
        ("Hand Tools", "Saws"),
        ("Hand saw with {colour} handle", "Sharp wood saw - {colour} handle"),
        ("Cuts well.", "Blade is straight.", "No rust."),
        (4, 25),
    ),
    "cordless drill": KindWords(
        ("Power Tools", "Drills & Screwdrivers"),
        ("{colour} cordless drill", "Cordless drill driver in {colour}"),
        ("Battery holds its charge.", "Plenty of power.", "Sold with the bit shown."),
        (15, 130),
    ),
    "paint tin": KindWords(
        ("Paint & Decorating",),
        ("Tin of {colour} paint", "{colour} emulsion paint - part used tin"),
        ("More than half full.", "Left over from a bedroom.", "Covers in two coats."),
        (3, 25),
    ),
    "book stack": KindWords(
        ("Books, Comics & Magazines", "Fiction"),
        ("Pile of hardback books", "Bundle of novels"),
        ("All read once.", "No torn pages.", "Clearing a shelf."),
        (3, 30),
    ),
    "guitar": KindWords(
        ("Musical Instruments & Equipment", "Guitars"),
        ("{colour} acoustic guitar", "Acoustic guitar - {colour} finish"),
        ("Low action and a warm tone.", "New strings.", "Stays in tune."),
        (40, 1400),
    ),
    "vinyl record": KindWords(
        ("Music", "Vinyl"),
        ("Vinyl LP in {colour} sleeve", "Record - {colour} and {second} cover"),
        ("Plays without jumps.", "Sleeve has light shelf wear.", "From my own collection."),
        (3, 60),
    ),
    "smartphone": KindWords(
        ("Mobile Phones", "Smartphones"),
        ("{colour} smartphone", "Unlocked smartphone in {colour}"),
        ("Screen has no cracks.", "Reset and ready to use.", "Battery lasts the day."),
        (40, 650),
    ),
    "keypad phone": KindWords(
        ("Mobile Phones", "Other Mobile Phones"),
        ("{colour} keypad mobile phone", "Old style {colour} mobile phone"),
        ("Big keys and easy to use.", "Battery lasts a week.", "Works on any network."),
        (5, 40),
    ),
    "desk telephone": KindWords(
        ("Home Phones & Answering Machines",),
        ("{colour} desk telephone", "Retro telephone in {colour}"),
        ("Rings nice and loud.", "Cable is included.", "Tested and working."),
        (8, 70),
    ),
    "t-shirt": KindWords(
        ("Men's Clothing", "T-Shirts & Tops"),
        ("{colour} T-shirt", "{colour} cotton T-shirt with {second} collar"),
        ("Worn twice.", "Size medium.", "Soft cotton."),
        (2, 20),
    ),
    "shoe": KindWords(
        ("Shoes & Boots", "Trainers"),
        ("{colour} trainers", "Pair of {colour} lace-up trainers"),
        ("Both shoes are there of course.", "Size 7.", "Plenty of life in the soles."),
        (8, 75),
    ),
    "handbag": KindWords(
        ("Bags & Purses", "Handbags"),
        ("{colour} handbag", "Smart {colour} handbag"),
        ("Lining is clean.", "Room for a book and a brolly.", "Gold coloured fittings."),
        (6, 160),
    ),
    "dress": KindWords(
        ("Women's Clothing", "Dresses"),
        ("{colour} dress with {second} belt", "Summer dress in {colour}"),
        ("Worn to one wedding.", "Size 12.", "Hanger comes with it."),
        (5, 60),
    ),
    "cardboard box": KindWords(
        ("Packing & Moving",),
        ("Cardboard box with {colour} tape", "Strong moving box - {colour} tape"),
        ("Used for one house move.", "Double walled.", "More where this came from."),
        (1, 12),
    ),
    "umbrella": KindWords(
        ("Odds & Ends", "Umbrellas"),
        ("{colour} umbrella", "Large {colour} umbrella with wooden handle"),
        ("Opens smoothly.", "No bent ribs.", "Keeps two people dry."),
        (3, 25),
    ),
    "birdcage": KindWords(
        ("Odds & Ends", "Cages"),
        ("{colour} birdcage", "Domed wire birdcage painted {colour}"),
        ("Perch is included.", "Tray lifts out for cleaning.", "Also pretty with plants."),
        (8, 60),
    ),
    "biscuit tin": KindWords(
        ("Odds & Ends", "Tins & Storage"),
        ("{colour} biscuit tin with {second} lid", "Round tin in {colour} and {second}"),
        ("Lid fits tightly.", "No dents.", "Biscuits not included!"),
        (2, 18),
    ),
    "perfume bottle": KindWords(
        ("Fragrances",),
        ("{colour} perfume bottle", "Perfume in {colour} glass bottle"),
        ("Nearly full.", "Not my scent.", "An unwanted gift."),
        (6, 70),
    ),
    "lipstick": KindWords(
        ("Make Up & Cosmetics", "Lips"),
        ("{colour} lipstick", "Lipstick - shade {colour}"),
        ("Never used.", "Wrong shade for me.", "With its cap."),
        (2, 20),
    ),
    "hairdryer": KindWords(
        ("Hair Care & Styling", "Hairdryers"),
        ("{colour} hairdryer", "Hairdryer in {colour} with nozzle"),
        ("Two heat settings.", "Hardly used.", "Gets nice and hot."),
        (5, 80),
    ),
    "hairbrush": KindWords(
        ("Hair Care & Styling", "Brushes & Combs"),
        ("{colour} hairbrush", "Paddle brush in {colour}"),
        ("New and unused.", "Kind to long hair.", "Bristles are all there."),
        (2, 15),
    ),
    "bicycle": KindWords(
        ("Bicycles", "Road & City Bikes"),
        ("{colour} bicycle", "Bike with {colour} frame"),
        ("Recently serviced.", "Gears and brakes work well.", "Good tyres."),
        (35, 1600),
    ),
    "football": KindWords(
        ("Sports Equipment", "Football"),
        ("{colour} football with {second} patches", "Size 5 football - {colour} and {second}"),
        ("Holds its air.", "Only used in the garden.", "Pumped up and ready."),
        (3, 25),
    ),
    "dumbbell": KindWords(
        ("Fitness & Gym Equipment", "Weights"),
        ("{colour} dumbbell", "Dumbbell with {colour} plates"),
        ("Grip is not worn.", "Bought for a new year's resolution.", "Heavy, bring a friend!"),
        (8, 90),
    ),
    "tennis racket": KindWords(
        ("Sports Equipment", "Racket Sports"),
        ("{colour} tennis racket", "Tennis racket - {colour} with {second} tip"),
        ("Strings are tight.", "Good for a beginner.", "Light and fast."),
        (6, 85),
    ),
    "washing machine": KindWords(
        ("Washing Machines & Dryers",),
        ("{colour} washing machine", "Front loading washing machine in {colour}"),
        ("Quiet on spin.", "Can be seen working.", "Hoses included."),
        (50, 420),
    ),
    "kettle": KindWords(
        ("Small Appliances", "Kettles"),
        ("{colour} kettle", "Electric kettle in {colour}"),
        ("Boils fast.", "Descaled last week.", "Holds enough for six mugs."),
        (4, 45),
    ),
    "fridge": KindWords(
        ("Fridges & Freezers",),
        ("{colour} fridge freezer", "Tall fridge freezer in {colour}"),
        ("Very cold and clean inside.", "Defrosted and ready.", "All shelves are there."),
        (50, 1250),
    ),
    "toaster": KindWords(
        ("Small Appliances", "Toasters"),
        ("{colour} two slice toaster", "Toaster in {colour}"),
        ("Toasts evenly.", "Crumb tray slides out.", "Works perfectly."),
        (4, 40),
    ),
    "laptop": KindWords(
        ("Laptops",),
        ("{colour} laptop", "Laptop with {colour} case"),
        ("Wiped and reinstalled.", "Charger is included.", "Fine for school work."),
        (80, 1300),
    ),
    "monitor": KindWords(
        ("Monitors & Projectors", "Monitors"),
        ("Computer monitor with {colour} surround", "{colour} framed PC monitor"),
        ("No dead pixels.", "Stand is included.", "With power lead."),
        (20, 240),
    ),
    "keyboard and mouse": KindWords(
        ("Accessories", "Keyboards & Mice"),
        ("{colour} keyboard and mouse", "Keyboard and mouse set in {colour}"),
        ("All keys work.", "Plug and play.", "Cleaned key by key."),
        (5, 60),
    ),
    "swivel chair": KindWords(
        ("Chairs", "Desk Chairs"),
        ("{colour} office chair", "Swivel chair in {colour}"),
        ("Height adjusts.", "Rolls smoothly.", "Office clearance."),
        (10, 160),
    ),
    "desk": KindWords(
        ("Desks & Tables", "Desks"),
        ("{colour} desk with drawers", "Writing desk in {colour}"),
        ("Drawers slide well.", "Comes apart in minutes.", "Solid and heavy."),
        (20, 260),
    ),
    "filing cabinet": KindWords(
        ("Storage", "Filing Cabinets"),
        ("{colour} filing cabinet", "Metal filing cabinet in {colour}"),
        ("Key is included.", "Drawers run smoothly.", "Room for years of paperwork."),
        (10, 110),
    ),
    "gamepad": KindWords(
        ("Gaming Accessories", "Controllers"),
        ("{colour} game controller", "Gamepad in {colour}"),
        ("No stick drift.", "All buttons click.", "Spare one we never use."),
        (6, 50),
    ),
    "handheld console": KindWords(
        ("Consoles", "Handheld Consoles"),
        ("{colour} handheld console", "Handheld games console in {colour}"),
        ("Screen is clear.", "Charger is included.", "One game is included."),
        (25, 280),
    ),
    "game console": KindWords(
        ("Consoles", "Home Consoles"),
        ("{colour} games console with controller", "Console in {colour} and one pad"),
        ("Reads discs first time.", "All leads included.", "Kids have moved on."),
        (30, 380),
    ),
}
