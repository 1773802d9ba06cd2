"""First names that are commonly given to one gender only."""

FEMALE = tuple(
    """
    Alice Amanda Amy Angela Anna Annie Audrey Barbara Beth Betty Carol Caroline Catherine Charlotte Chloe Christina
    Claire Deborah Diana Donna Elizabeth Ellen Emily Emma Hannah Helen Jane Janet Jennifer Jessica Judy Julia Julie
    Karen Kate Kathleen Katie Laura Lauren Linda Lisa Louise Lucy Margaret Maria Marie Martha Mary Megan Melissa
    Michelle Molly Monica Nancy Natalie Nicole Olivia Pamela Patricia Rachel Rebecca Rita Ruth Samantha Sandra Sarah
    Sophie Stephanie Susan Vanessa Wendy
    """.split()  # noqa: SIM905 - a list literal would take a line a word
)
MALE = tuple(
    """
    Aaron Adam Albert Andrew Anthony Arthur Ben Benjamin Brian Bruce Carl Charles Daniel David Dennis Donald Douglas
    Edward Eric Eugene Frank Fred Gary George Gerald Gregory Harold Harry Henry Hugh Jack Jacob James Jason Jeremy
    Jerry John Jonathan Joseph Joshua Keith Kenneth Kevin Larry Lawrence Louis Luke Mark Martin Matthew Michael
    Nathan Neil Nicholas Oliver Oscar Patrick Paul Peter Philip Ralph Raymond Richard Robert Roger Ronald Roy Ryan
    Samuel Scott Simon Stephen Steven Thomas Timothy Victor Vincent Walter William
    """.split()  # noqa: SIM905 - a list literal would take a line a word
)
