"""The other side of `align_speed.py`, run in SimAlign's own environment: ENCODER LAYER TOKEN_TYPE < pairs > links.

Reads JSON [[source words, target words], …]; writes one JSON line when the model is loaded, then {"seconds", "links"}
for each line of input it gets.
"""

import json
import sys
import time

from simalign import SentenceAligner

encoder, layer, token_type, device = sys.argv[1:]
aligner = SentenceAligner(encoder, token_type, matching_methods="a", device=device, layer=int(layer))
print(json.dumps("ready"), flush=True)
for line in sys.stdin:
    pairs = json.loads(line)
    start = time.perf_counter()
    links = [aligner.get_word_aligns(src, tgt)["inter"] for src, tgt in pairs]
    print(json.dumps({"seconds": time.perf_counter() - start, "links": links}), flush=True)
