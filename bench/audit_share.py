"""Measures what the audit takes of reads: `python3 bench/audit_share.py target/release`.

`cargo build --release -p salus-server --example audit_share` makes what it needs: sixteen clients
read over HTTP, by turns with the audit, with one page written for all who wait (what the disk alone takes), and with a
store that leaves entries of reads out. Three times, and the median of the shares.
"""

import json
import os
import subprocess
import sys


def main(folder, windows="10", seconds="3"):
    program = os.path.join(folder, "examples", "audit_share")
    shares, floors = [], []
    for _ in range(3):
        told = subprocess.run([program, windows, seconds], check=True, capture_output=True, text=True).stdout
        told = json.loads(told)
        shares.append(told["share"])
        floors.append(told["shareOfFlushes"])
        print(
            f"{told['audited']:,.0f} reads/s, {told['spared']:,.0f} without the audit: {told['share']:.1%};",
            f"with the disk alone {told['flushed']:,.0f}: {told['shareOfFlushes']:.1%};",
            f"CPU ms {told['auditedMs']:.3f}, {told['flushedMs']:.3f} and {told['sparedMs']:.3f}: {told['shareOfCpu']:.1%}",
            flush=True,
        )
    print(f"the audit takes {sorted(shares)[1]:.1%}, of which the disk alone {sorted(floors)[1]:.1%}")


if __name__ == "__main__":
    main(*sys.argv[1:])
