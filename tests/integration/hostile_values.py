"""Bodies and headers that mean harm, or come from a client that is broken."""

from __future__ import annotations

import json
import string

from hypothesis import strategies as st

from tests.integration.hostile import DOCUMENT

#: The id of a memory that nobody has.
UNKNOWN = "b6a3b7a2-3b1e-4f0c-9b52-2f6f9a6a3b0e"
FIELDS = sorted(
    {name for schema in DOCUMENT["components"]["schemas"].values() for name in schema.get("properties", ())}
)
SCALARS = [
    *(
        "null",
        "true",
        "NaN",
        "-Infinity",
        "-0",
        "1e999",
        "1" * 400,
        "1.7976931348623157e308",
        "18446744073709551616",
    ),
    *(
        '""',
        '"*"',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\u0000"',
        '"2030-02-31"',
        f'"{UNKNOWN}"',
        '"' + "x" * 300 + '"',
    ),
    *("[" * 40 + "]" * 40, '{"a":' * 40 + "1" + "}" * 40, "[" * 100_000, "1e", "'x'", "\x00", "\ufeff{}"),
]
_scalars = st.sampled_from(SCALARS) | st.text(max_size=20).map(json.dumps) | st.integers().map(str)
_keys = st.sampled_from(FIELDS).map(json.dumps) | st.sampled_from(['"\\u0000"', '"\\ud800"', '""', "1"])


def _object(pairs: list[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{key}:{value}" for key, value in pairs) + "}"  # a key may come twice


_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda parts: f"[{','.join(parts)}]")
        | st.lists(st.tuples(_keys, inner), max_size=4).map(_object)
    ),
    max_leaves=8,
)
#: Bodies that come close: the ids and texts are right, and something else is not.
_GOOD = {"user_id": '"alice"', "messages": '"x"', "query": '"x"', "text": '"x"', "infer": "false", "name": '"x"'}
_near = st.tuples(
    st.lists(st.sampled_from(sorted(_GOOD)), unique=True), st.lists(st.tuples(_keys, _values), max_size=3)
).map(lambda drawn: _object([*((f'"{name}"', _GOOD[name]) for name in drawn[0]), *drawn[1]]))
BODIES = _near.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=50)

_printable = st.text(string.printable.strip(), max_size=60).map(str.encode)
_octets = st.binary(max_size=60).filter(lambda value: not {0, 10, 13} & set(value))
_VALUES = (
    _printable | _octets | st.sampled_from([b"", b" ", b'"1"', b"*", b'W/"1"', b'"0"', b"a" * 300, b"\xff\xfe"])
)
HEADERS = {
    "If-Match": _VALUES | st.sampled_from([b'"1","2"', b'"99999999999999999999"', b'"1" ']),
    "Idempotency-Key": _VALUES | st.sampled_from([b"a" * 255, b"a" * 256, b"\x80", b"a\tb"]),
    "Authorization": _VALUES
    | st.sampled_from([b"Token", b"Token a b", b"Bearer a.b.c", b"Bearer e30.e30.e30", b"Basic eA=="]),
    "X-API-Key": _VALUES,
    "Content-Type": _VALUES
    | st.sampled_from([b"text/plain", b"multipart/form-data; boundary=x", b"application/json; charset=x"]),
    "Content-Encoding": st.sampled_from([b"gzip", b"deflate", b"br", b"zstd", b"gzip, gzip", b"x"]),
    "traceparent": _VALUES
    | st.sampled_from([b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01", b"00-" + b"a" * 500]),
    "X-Request-ID": _VALUES,
    "Mem0-User-ID": _VALUES,
    "Accept": _VALUES,
    "Range": st.sampled_from([b"bytes=0-0", b"bytes=-1", b"lines=1"]),
    "If-None-Match": _VALUES,
    "Cookie": _VALUES,
    "Origin": _VALUES,
    "Host": _VALUES,
    "X-Forwarded-For": _VALUES,
    "X-HTTP-Method-Override": _VALUES,
    "Expect": st.sampled_from([b"100-continue", b"x"]),
    "Upgrade": st.sampled_from([b"websocket", b"h2c"]),
}
