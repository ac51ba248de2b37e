"""scripts/schema-fuzz: the OpenAPI document against the running site.

schemathesis makes requests to every operation, with and without an API key, and judges the answers: no 5xx but 503, a
status and a content type that the document names, a body of its schema. Exit status 1 at the first that is not.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
import warnings
from pathlib import Path

from campaigns.results import machine, write_results
from tests.support.schema_fuzz import fuzz, site_in_a_thread


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/schema-fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=200, help="requests to each operation")
    parser.add_argument("--seed", type=int, default=0, help="other requests; the same seed sends the same")
    parser.add_argument("--write", action="store_true", help="write docs/campaigns/schemas.json")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    begun, began = machine(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="schemas-") as room, site_in_a_thread(Path(room)) as site:
        sent = fuzz(site, options.examples, options.seed)
    result = {
        "operations": len(sent),
        "requests": sum(sent.values()),
        "examples": options.examples,
        "seed": options.seed,
        "failures": 0,
        "seconds": round(time.monotonic() - began),
    }
    print(json.dumps(result))
    if options.write:
        write_results("schemas", begun, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
