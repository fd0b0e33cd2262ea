"""Numbers as cards write them, with how exactly they are stated.

`1,281,167`, `20.6M`, `5e-5`, `5•10^-5`, `5 × 10⁻⁵`, `$10^{-4}$`, `79.4 %`, `eight`, `a hundred`, `224 × 224`, `90–100`. A number agrees
with a known value if the value rounds to the digits that are stated.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

_SMALL = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: float(value) for value, word in enumerate(_SMALL.split())}
_WORDS |= {word: 10.0 * value for value, word in enumerate(_TENS.split(), 2)} | {"twice": 2.0}
_SCALES = {
    "k": 1e3, "thousand": 1e3, "m": 1e6, "mn": 1e6, "million": 1e6, "g": 1e9, "b": 1e9, "bn": 1e9, "billion": 1e9, "hundred": 100.0,
    "t": 1e12, "trillion": 1e12, "millions": 1e6, "mio": 1e6, "millionen": 1e6, "millones": 1e6, "milioni": 1e6, "milhões": 1e6,
    "milliards": 1e9, "milliarden": 1e9,
}  # fmt: skip
_PARTS = {
    "half": 1 / 2, "third": 1 / 3, "quarter": 1 / 4, "fifth": 1 / 5, "sixth": 1 / 6, "eighth": 1 / 8, "tenth": 1 / 10,
    "sixteenth": 1 / 16, "hundredth": 1 / 100, "thousandth": 1 / 1000,
}  # fmt: skip
_POWER = r"\s?(?:[•·×x*⋅]|\\times|\\cdot)\s?10\s?\^?\{?\s?[-−⁻–]?[\d⁰¹²³⁴⁵⁶⁷⁸⁹]+\}?"
_PLAIN = r"0,\d+(?![\d,])|\d{1,2},\d{1,2}(?![\d,])(?=\s?(?:%|Mio|Milli|mill))|\d{1,3}(?:[,\u202f\u2009\xa0 ]\d{3})+(?![\d.])|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+"
_WORD = rf"(?:{'|'.join(sorted(_WORDS, key=len, reverse=True))})"
_SHARE = rf"{_WORD}\s(?:(?:\w+\s)?out\sof|\w+\sin(?!\s\w+\s\w{{3,}}s\b)|in)\s(?:every\s)?(?:{_WORD}|a\shundred)"
"""Matches a share: `one image in eight`, `nine out of ten`."""
_FRACTION = r"1/\d{1,3}(?![\d/]|\.\d)"
NUMBER_WORD = _WORD
"""Matches a number below a hundred in words."""
_NUMBER = re.compile(
    rf"(?<![\w.,^\\§#-])(?<!\d[–x×])(?:(?<!/)|(?<=\d/)(?=\d+\.\d))(?P<sign>[-−](?=\d))?"
    rf"(?:(?P<power>10\s?(?:\^\{{?\s?[-−–]?\d+\}}?|[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+))"
    rf"|(?P<plain>(?!{_FRACTION})(?:{_PLAIN}))(?P<exponent>[eE][-+−]?\d+|{_POWER})?"
    rf"|\b(?P<word>(?!twice\b(?!\s(?:as\swide|the\s(?:width|channels)\sof\s\w+\sinput)\b))(?i:{_FRACTION}|(?:half an?|an?)(?=\s(?:hours?|days?|weeks?|fortnight|month)\b)|(?:(?:{_WORD}|an?)[\s-])?(?:hundred|thousand)(?:\s(?:and\s)?{_WORD}(?:[\s-]{_WORD})?)?"
    rf"|{_SHARE}|(?:{_WORD}|an?)[\s-](?:{'|'.join(_PARTS)})s?|{_WORD}(?:[\s-]{_WORD})?(?:\sand\sa\s(?:half|quarter))?))\b)"
    r"(?:[\s-]?(?P<scale>(?i:thousand|millions?|billion|trillion|bn|mn|mio|millionen|millones|milioni|milhões|milliard(?:s|en))\b|[kKMGBT](?![\w²])|[MGBT](?=FLOP|MAC|flop)))?"
    r"(?!\d|(?!x\b|x[\s\d]|(?:px|pixels?|hours?|hrs?|h|[KMGT]i?B|ms|min|W|FLOPs?|MACs?|flops|epochs?|GPUs?|images?)\b)[A-Za-z])"
    r"(?P<percent>\s?(?:\\?%|percent\b|per\scent\b))?"
    rf"(?:(?:\s?[–—]\s?|\s?-\s?(?=\d)|\sto\s|\s?±\s?)(?P<to>{_PLAIN})(?:[eE][-+−]?\d+)?(?P<topercent>\s?%)?)?"
)
DATE = re.compile(r"(?<![\w.-])((?:19|20)\d\d)-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?(?![\w-])")
"""A day or month as `2022-02-03`: its number is the year."""
_APPROXIMATE = re.compile(
    r"(?:\b(?:about|approximately|approx\.?|around|roughly|nearly|almost|some|circa|ca\.?|close to|on the order of)|[~≈∼]|\b(?:about|around|roughly)\b[^.;()\d]{1,30}\bor)\s*$",
    re.IGNORECASE,
)
_LEAST = re.compile(
    r"(?:\b(?:(?:has|have|with|of|on|is|are|was|contain\w*|hold\w*|well|just|slightly|little|,|^) ?over|more than|greater than|larger than|above|at least|exceed(?:s|ing)|a minimum of|upwards of|beyond)|[>≥])\s*$",
    re.IGNORECASE,
)
_MOST = re.compile(
    r"(?:\b(?:under|less than|fewer than|below|at most|no more than|a maximum of|within)|[<≤])\s*$", re.IGNORECASE
)
_UP_TO = re.compile(r"\bup to\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Quantity:
    """A number in a text."""

    value: float
    step: float
    """One unit of its last digit."""
    start: int
    end: int
    text: str
    percent: bool = False
    scaled: bool = False
    """Whether `M`, `billion`, … stand behind it."""
    upper: float | None = None
    """End of a range; None for a single number."""
    relation: str = "is"
    """`is`, `about`, `least`, `most` or `up to`."""

    def times(self, factor: float) -> Quantity:
        """The same in another unit."""
        if factor == 1:
            return self
        upper = None if self.upper is None else self.upper * factor
        return replace(self, value=self.value * factor, step=self.step * factor, upper=upper, scaled=True)

    def complement(self) -> Quantity:
        """An error in percent as an accuracy, or the other way round."""
        upper = None if self.upper is None else 100 - self.upper
        return replace(self, value=100 - self.value, upper=upper)

    def agrees(self, known: float, *, truncated: bool = False) -> bool | None:
        """Whether a known value is what the number says, as exactly as it says it; None where that can't be told.

        Args:
            known: the value, in the number's unit.
            truncated: whether a number that is cut off instead of rounded is right too.
        """
        slack = self.step / 2 * (1 + 1e-9) + 1e-12 * abs(known)
        if self.upper is not None:
            return min(self.value, self.upper) - slack <= known <= max(self.value, self.upper) + slack
        if self.relation == "least":
            return known >= self.value - slack
        if self.relation == "most":
            return known <= self.value + slack
        if self.relation == "up to":
            return True if known <= self.value + slack else None
        exact = abs(self.value - known) <= min(slack, abs(known) / 10)  # 5e-5 is not 1e-4, though it rounds to it
        exact = exact or (truncated and 0 <= known - self.value < self.step)
        if exact or self.relation != "about":
            return exact
        distance = abs(self.value - known) / abs(known) if known else math.inf
        near, far = (0.012, 0.02) if self.percent else (0.05, 0.12)
        return True if distance <= near else None if distance <= far else False


def quantities(text: str) -> Iterator[Quantity]:
    """The numbers of a text, from left to right."""
    dates = {date.start(): date for date in DATE.finditer(text)}
    for match in _NUMBER.finditer(text):
        date = dates.get(match.start())
        yield Quantity(float(date[1]), 1.0, *date.span(), date.group()) if date else _quantity(match, text)


def parse_number(text: str) -> float:
    """A number as cards write it: `1,281,167`, `5e-5`, `5•10^-5`, `5 × 10⁻⁵`."""
    match = _NUMBER.match(text.lstrip("~≈"))
    if match is None:
        raise ValueError(f"'{text}' is not a number")
    return _quantity(match, text).value


def _quantity(match: re.Match[str], text: str) -> Quantity:
    value, step = _value(match)
    scale = _SCALES.get((match["scale"] or "").lower(), 1.0)
    value, step = value * scale, step * scale
    value = -value if match["sign"] else value
    before = text[max(0, match.start() - 45) : match.start()]
    relations = (("about", _APPROXIMATE), ("least", _LEAST), ("most", _MOST), ("up to", _UP_TO))
    relation = next((name for name, pattern in relations if pattern.search(before)), "is")
    upper = float(re.sub(r"[,\s]", "", match["to"])) * scale if match["to"] else None
    is_share = match["word"] is not None and 0 < value < 1
    if is_share:
        value, step = 100 * value, min(20 * value, 10.0)
    if re.fullmatch(r"an?", match["word"] or "", re.IGNORECASE):  # "a week" is a round figure
        value, upper, step = value / 2, value * 2, 0.0
    if upper is not None and "±" in match.group():
        value, upper = value - upper, value + upper
    is_percent = bool(match["percent"] or match["topercent"] or is_share)
    return Quantity(value, step, *match.span(), match.group(), is_percent, bool(match["scale"]), upper, relation)


def _value(match: re.Match[str]) -> tuple[float, float]:
    """Value and last place of a number without its scale."""
    if match["power"]:
        value = 10.0 ** _integer(re.sub(r"^10\s?\^?", "", match["power"]))
        return value, value
    if match["word"]:
        value = _spelled(match["word"])
        return value, min(1.0, value)
    plain = re.sub(r"^(\d{1,2}),(\d{1,2}|(?<=^0,)\d+)$", r"\1.\2", match["plain"])
    plain = re.sub(r"[,\s\u202f\u2009]", "", plain)
    size = 1.0
    if match["exponent"]:
        exponent = re.sub(r"^.*10\s?\^?|^[eE]", "", match["exponent"], flags=re.DOTALL)
        size = float(f"1e{_integer(exponent)}")
    decimals = len(plain.partition(".")[2])
    return float(f"{plain}e{round(math.log10(size))}"), float(f"1e{-decimals}") * size


def _integer(text: str) -> int:
    plain = text.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−–", "0123456789---"))
    return int(re.sub(r"[^\d-]", "", plain))


def _spelled(text: str) -> float:
    match re.split(r"(?:\s\w+)?\s(?:out\sof|in)(?:\severy)?\s|/", text):
        case ["1", whole]:
            return 1 / int(whole)
        case [part, whole]:
            return _spelled(part) / _spelled(whole)
    text, _, rest = text.lower().partition(" and a ")
    total, current = _PARTS.get(rest, 0.0), 0.0
    for word in re.split(r"[\s-]+", text.lower()):
        if word in ("hundred", "thousand"):
            current = max(current, 1) * _SCALES[word]
        elif word in _WORDS:
            current += _WORDS[word]
        elif (part := _PARTS.get(word.removesuffix("s").replace("halve", "half"))) is not None:
            current = max(current, 1) * part
    return total + current or 1.0 * (text.lower() != "zero")
