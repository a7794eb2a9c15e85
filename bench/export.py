"""Measures `$export`: `python3 bench/export.py target/release/salus 300`.

Starts the program on a temporary folder with so many generated patients, waits
until it is idle, and prints for each export how long it took from the kick-off
to the manifest, and the CPU time and peak memory of the server.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

EXPORTS = [
    "/$export",
    "/$export",
    "/Patient/$export",
    "/$export?_type=Observation",
    "/$export?_typeFilter=Observation%3Fcode%3Dhttp://loinc.org%7C8480-6",
    "/$export?_elements=id",
]
# Less often than the server lets ask.
POLL_SECONDS = 0.34


class Server:
    def __init__(self, program, patients, folder):
        command = [program, "serve", "--demo=" + patients, "--json", "--data", folder]
        command += ["--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        ready = json.loads(self.process.stdout.readline())
        self.fhir, self.token = ready["fhir"], ready["admin_token"]

    def cpu(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def peak_mb(self):
        lines = open(f"/proc/{self.process.pid}/status").read().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1000

    def ask(self, url, accept="application/fhir+json", **headers):
        headers |= {"Authorization": "Bearer " + self.token, "Accept": accept}
        try:
            return urllib.request.urlopen(urllib.request.Request(url, headers=headers))
        except urllib.error.HTTPError as error:
            sys.exit(f"{error.code}: {error.read().decode()}")


def measure(server, path):
    cpu, began = server.cpu(), time.monotonic()
    job = server.ask(server.fhir + path, Prefer="respond-async").headers["Content-Location"]
    while (answer := server.ask(job)).status == 202:
        time.sleep(POLL_SECONDS)
    seconds, cpu = time.monotonic() - began, server.cpu() - cpu
    files = json.load(answer)["output"]
    count = sum(file["count"] for file in files)
    lines = 0
    for file in files:
        lines += server.ask(file["url"], accept="application/fhir+ndjson").read().count(b"\n")
    if lines != count:
        sys.exit(f"{path}: {lines} lines, {count} were told")
    print(f"{path}: {count} in {seconds:.2f} s, {count / seconds:.0f}/s, "
          f"{cpu / count * 1000:.3f} ms CPU each, peak {server.peak_mb()} MB", flush=True)


def main(program, patients):
    with tempfile.TemporaryDirectory() as folder:
        server = Server(program, patients, folder + "/data")
        try:
            time.sleep(15)
            for path in EXPORTS:
                measure(server, path)
        finally:
            server.process.terminate()
            server.process.wait()


main(*sys.argv[1:])
