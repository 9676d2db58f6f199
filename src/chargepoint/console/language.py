"""The console's languages. English stands in the code; the catalogue of a language maps it to its own sentences."""

from typing import Literal

from chargepoint.console.french import FRENCH
from chargepoint.sentences import translate

Name = Literal["en", "fr"]
CATALOGUES: dict[Name, dict[str, str]] = {"en": {}, "fr": FRENCH}


class Language:
    """Translates what the console says. A test finds every call and looks it up in every catalogue."""

    def __init__(self, name: Name) -> None:
        self.name: Name = name

    def __call__(self, text: str, **words: object) -> str:
        """The sentence in this language, with `{word}`s filled in."""
        return CATALOGUES[self.name].get(text, text).format(**words)

    def said(self, text: object) -> str:
        """What another room said, in English with its values in it, in this language where the table has it."""
        return translate(str(text), self.name)
