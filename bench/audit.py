"""Measures `salus audit verify`: `python3 bench/audit.py target/release 1000000`.

Has an export of so many made-up entries written (`cargo build --release -p salus-server -p
salus-service --examples` makes what it needs), checks it three times, and prints entries a
second on one core, and the memory that it took.
"""

import os
import subprocess
import sys
import tempfile
import time


def main(folder, entries):
    with tempfile.TemporaryDirectory() as place:
        export = os.path.join(place, "export.ndjson")
        made = [os.path.join(folder, "examples", "audit_export"), str(entries), export]
        key = subprocess.run(made, check=True, capture_output=True, text=True).stdout.strip()
        size = os.path.getsize(export)
        command = [os.path.join(folder, "salus"), "audit", "verify", export, "--key", key]
        for _ in range(3):
            began = time.monotonic()
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            seconds, busy = time.monotonic() - began, used.ru_utime + used.ru_stime
            if status != 0:
                sys.exit("the export does not hold")
            rate, speed, peak = entries / busy, size / busy / 1e6, used.ru_maxrss // 1000
            print(f"{rate:,.0f} entries/s of CPU, {seconds:.2f} s, {speed:.0f} MB/s, {peak} MB at most")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
