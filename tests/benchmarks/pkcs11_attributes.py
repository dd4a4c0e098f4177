"""Which attributes real modules give: `python tests/benchmarks/pkcs11_attributes.py`, a Markdown table.

Makes a token of each module that is installed (`tests/simulators/pkcs11_tokens.py`) and asks each of its objects for each
attribute that the collector asks for, alone, as an answer to a list of many may leave one out that is given alone. An
attribute is answered with a value, answered empty (which is an answer: no date, no label), or refused.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

MAKERS = {
    "soft_hsm": "SoftHSM2", "nss": "NSS softoken", "p11_kit": "p11-kit client", "tpm": "tpm2-pkcs11",
    "opencryptoki": "opencryptoki",
}  # fmt: skip
COLUMNS = ("module", "class", "objects", "asked", "with a value", "empty", "refused", "owed by PKCS#11 and refused")
SHORT = {"CKR_ATTRIBUTE_TYPE_INVALID": "type invalid", "CKR_ATTRIBUTE_SENSITIVE": "sensitive"}
Counts = dict[str, dict[str, Counter[str]]]


def counted(module: str, pin: str, parameters: str | None) -> Counts:
    """By class of object and attribute, how often it was given, empty, or refused, and with which code."""
    import pkcs11

    from collectors._pkcs11.beginning import Failed, begin
    from collectors._pkcs11.cryptoki import Begun, Reader, named
    from collectors._pkcs11.names import ASKED, CLASSES

    library = Begun(module) if begin(module, parameters) else pkcs11.lib(module)
    found: Counts = defaultdict(lambda: defaultdict(Counter))
    for token in library.get_tokens():
        if not token.flags & pkcs11.TokenFlag.TOKEN_INITIALIZED:
            continue
        pin_of = Path(pin.removeprefix("file:")).read_text()
        session = token.open(user_pin=pin_of if token.flags & pkcs11.TokenFlag.LOGIN_REQUIRED else None)
        reader = Reader(library)
        question = reader.question(session.handle, ASKED)
        for handle in reader.handles(session.handle):
            told: dict[str, str] = {}
            kind = CLASSES.get(int.from_bytes(question.one(handle, "CLASS"), "little"), "vendor's own")
            for name in ASKED:
                try:
                    told[name] = "given" if question.one(handle, name) else "empty"
                except Failed as failure:
                    told[name] = named(failure.code)
            for name, answer in told.items():
                found[kind][name][answer] += 1
    return found


def lines(maker: str, found: Counts) -> list[str]:
    """The table's lines of a module: attributes, of each the answer that most objects of the class give."""
    from collectors._pkcs11.names import OWED

    told = []
    for kind, attributes in sorted(found.items()):
        objects = max(sum(answers.values()) for answers in attributes.values())
        mostly = {name: answers.most_common(1)[0][0] for name, answers in attributes.items()}
        most = Counter(mostly.values())
        owed = [name for name in OWED.get(f"CKO_{kind}", ()) if mostly[name] not in ("given", "empty")]
        refused = {SHORT.get(code, code): count for code, count in most.items() if code not in ("given", "empty")}
        why = ", ".join(f"{count} {code}" for code, count in sorted(refused.items()))
        words = [maker, kind.lower().replace("_", " "), objects, len(attributes), most["given"], most["empty"]]
        words += [f"{sum(refused.values())}{f' ({why})' if why else ''}", ", ".join(owed) or "none"]
        told.append(f"| {' | '.join(map(str, words))} |")
    return told


def main() -> None:
    """Make the tokens, ask them, print."""
    from simulators import pkcs11_tokens as tokens

    print(f"| {' | '.join(COLUMNS)} |", f"|{' --- |' * len(COLUMNS)}", sep="\n")
    for maker, title in MAKERS.items():
        with tempfile.TemporaryDirectory() as name:
            try:
                with getattr(tokens, maker)(Path(name)) as made:
                    parameters = made.parameters[0].partition("=")[2] if made.parameters else ""
                    command = (sys.executable, "-P", __file__, made.module, made.pin, parameters)
                    found = json.loads(made.run(*command).splitlines()[-1])
            except (tokens.MissingError, tokens.NotAllowedError) as missing:
                print(f"| {title} | not read: {missing} |{' |' * (len(COLUMNS) - 2)}")
                continue
        print(*lines(title, {kind: {a: Counter(c) for a, c in of.items()} for kind, of in found.items()}), sep="\n")


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parents[1])]
    if len(sys.argv) > 1:
        print(json.dumps(counted(sys.argv[1], sys.argv[2], sys.argv[3] or None)))
    else:
        main()
