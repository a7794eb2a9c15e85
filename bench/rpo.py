"""Measures what a dead server loses: `python3 bench/rpo.py target/release/salus`.

Each round starts a server that ships to an archive in a folder, writes 2,000 patients a second over
sixteen connections, kills the process (SIGKILL) at a random moment, restores the archive alone, and
compares the instant of the newest commit that was acknowledged with that of the newest one restored:
that is the recovery point, in seconds. What was acknowledged up to the restored instant has to be there,
each by its id, or the round fails. Prints each round, then the median and the largest.
"""

import argparse
import asyncio
import calendar
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

PATIENT = '{"resourceType":"Patient","identifier":[{"system":"urn:oid:2.999.8","value":"%s"}],"active":true}'


def start(salus, data, *more):
    command = [salus, "serve", "--demo=0", "--listen", "127.0.0.1:0", "--json", "--data", data, *more]
    with open(data + ".log", "ab") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
    return process, json.loads(process.stdout.readline())


class Load:
    """Paced writers, and what was acknowledged to them: id and commit instant of each."""

    def __init__(self, ready, rate, connections):
        self.host, self.port = ready["base"].removeprefix("http://").split(":")
        self.token, self.rate, self.connections = ready["admin_token"], rate, connections
        self.acknowledged, self.late = [], 0.0

    async def run(self):
        self.began = time.monotonic()
        writers = [self.writer(number) for number in range(self.connections)]
        await asyncio.gather(*writers)

    async def writer(self, number):
        reader, writer = await asyncio.open_connection(self.host, self.port)
        head = (
            f"POST /fhir/Patient HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: application/fhir+json\r\n"
        )
        turn = number
        try:
            while True:
                due = self.began + turn / self.rate
                wait = due - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                self.late = max(self.late, -wait)
                body = PATIENT % f"{turn}"
                writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
                self.acknowledged.append(await self.answer(reader))
                turn += self.connections
        except (OSError, asyncio.IncompleteReadError):
            pass  # it is dead

    @staticmethod
    async def answer(reader):
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(fields["content-length"]))
        if " 201 " not in head[0]:
            sys.exit(f"not created: {head[0]} {body[:200]}")
        return body


def instant(text):
    """Seconds since 1970 of a FHIR instant, to the millisecond."""
    whole, _, rest = text.removesuffix("Z").partition(".")
    seconds = calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
    return seconds + float("0." + (rest or "0"))


def there(ready, ids):
    """Those of the ids that the restored server has."""
    found = set()
    for at in range(0, len(ids), 100):
        some = ids[at : at + 100]
        url = f"{ready['fhir']}/Patient?_id={','.join(some)}&_count=100&_elements=id"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {ready['admin_token']}"})
        with urllib.request.urlopen(request) as answer:
            found.update(entry["resource"]["id"] for entry in json.load(answer).get("entry", []))
    return found


def one(salus, place, options, draw):
    data, archive = os.path.join(place, "data"), os.path.join(place, "archive")
    process, ready = start(salus, data, "--archive", archive)
    load = Load(ready, options.rate, options.connections)
    lasted = options.seconds / 2 + draw.random() * options.seconds / 2

    async def kill():
        task = asyncio.create_task(load.run())
        await asyncio.sleep(lasted)
        process.send_signal(signal.SIGKILL)
        await task

    asyncio.run(kill())
    process.wait()
    again = os.path.join(place, "again")
    command = [salus, "restore", "--json", "--from", archive, "--keys", os.path.join(data, "keys"), "--to", again]
    restored = subprocess.run(command, capture_output=True, text=True)
    if restored.returncode != 0:
        sys.exit(f"restore: {restored.returncode} {restored.stdout} {restored.stderr}")
    report = json.loads(restored.stdout)
    commits = [(instant(body["meta"]["lastUpdated"]), body["id"]) for body in map(json.loads, load.acknowledged)]
    newest, reached = max(commits)[0], instant(report["time"])
    process, ready = start(salus, again)
    # Commits of the last restored instant may be of two segments.
    wanted = [id for at, id in commits if at < reached]
    lost = set(wanted) - there(ready, wanted)
    process.terminate()
    process.wait()
    if lost:
        sys.exit(f"{len(lost)} writes before the restored instant are not there, as {sorted(lost)[0]}")
    return {
        "seconds": round(lasted, 2),
        "acknowledged": len(commits),
        "rate": round(len(commits) / lasted),
        "restored": len(wanted),
        "rpo": round(max(0.0, newest - reached), 3),
        "late": round(load.late, 3),
    }


def main():
    about = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    about.add_argument("salus")
    about.add_argument("--rounds", type=int, default=20)
    about.add_argument("--rate", type=float, default=2000)
    about.add_argument("--connections", type=int, default=16)
    about.add_argument("--seconds", type=float, default=8, help="a round ends between half of them and all")
    about.add_argument("--seed", type=int, default=1)
    about.add_argument("--json", action="store_true")
    options = about.parse_args()
    draw, rounds = random.Random(options.seed), []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as place:
            rounds.append(one(options.salus, place, options, draw))
        if not options.json:
            print(f"{number + 1:>3}", *(f"{name} {value:<8}" for name, value in rounds[-1].items()), flush=True)
    points = sorted(one["rpo"] for one in rounds)
    told = {"rounds": len(rounds), "p50": points[len(points) // 2], "max": points[-1], "rate": min(one["rate"] for one in rounds)}
    if options.json:
        print(json.dumps({**told, "each": rounds}))
    else:
        print(f"recovery point: p50 {told['p50']} s, max {told['max']} s in {told['rounds']} rounds; at least {told['rate']} writes/s")


if __name__ == "__main__":
    main()
