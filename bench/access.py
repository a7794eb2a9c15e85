"""Measures what access control costs: `python3 bench/access.py target/release/salus`.

Starts the program on a temporary folder with generated patients (some 200,000
resources), 10,000 users in groups that stand in groups, and policies. It prints
what rules add to a read and to a search, asked in turns on two connections by an
administrator, who is under no rules, and by users, who are; what a search costs a
clinician who sees the patients of care teams; and how many sign-ins there are in
a second, with their CPU time and how much of it is Argon2id. With `sign-ins` behind
the program it measures these only.
"""

import concurrent.futures
import http.client
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

PATIENTS = 600
# Wrong passwords that are hashed, and as many that are not. An address has 300 at once.
WRONG = 140
USERS, SIGNED_IN, GROUPS = 10_000, 50, 300
IN_CARE = 200
ROUNDS, SEARCHES, SIGN_INS = 10_000, 400, 400
# Which of the users has patients in care.
CLINICIAN = 0
SHAPES = [
    "Observation?code=http://loinc.org|8480-6&_count=20",
    "Observation?date=ge2020&_sort=-date&_count=20",
    "Patient?gender=female&_count=20",
    "Condition?clinical-status=active&_count=20",
]
PASSWORD = "rather a long one for a bench 7"
PEOPLE_AT_ONCE = 4
chance = random.Random(5)


class Server:
    def __init__(self, program, folder, patients):
        command = [program, "serve", f"--demo={patients}", "--json", "--data", folder]
        command += ["--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        ready = json.loads(self.process.stdout.readline())
        fhir = urllib.parse.urlparse(ready["fhir"])
        self.host, self.base = fhir.netloc, fhir.path
        self.project, self.token = fhir.path.removesuffix("/fhir"), ready["admin_token"]

    def cpu(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100


class Caller:
    """One connection and who asks on it."""

    def __init__(self, server, token=None):
        self.server = server
        self.line, self.token = http.client.HTTPConnection(server.host), token or server.token

    def ask(self, method, path, body=None):
        headers = {"Authorization": "Bearer " + self.token, "Accept": "application/fhir+json, */*"}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(body)
        try:
            self.line.request(method, path, body, headers)
            answer = self.line.getresponse()
        except (BrokenPipeError, http.client.RemoteDisconnected):
            # The server has closed what waited for long.
            self.line.close()
            self.line.request(method, path, body, headers)
            answer = self.line.getresponse()
        text = answer.read()
        if answer.status >= 400:
            sys.exit(f"{method} {path}: {answer.status}: {text.decode()}")
        return json.loads(text) if text else None

    def timed(self, path):
        began = time.perf_counter()
        self.ask("GET", path)
        return time.perf_counter() - began


def microseconds(times):
    return statistics.median(times) * 1e6


def people(server, admin):
    """Groups of which each stands in two others, and users in five of them."""
    groups = []
    for number in range(GROUPS):
        parents = chance.sample(groups, min(2, len(groups)))
        body = {"name": f"ward-{number}", "parents": parents, "roles": [f"role-{number % 20}"]}
        groups.append(admin.ask("POST", server.project + "/admin/groups", body)["id"])
    practitioner = ids(admin, server, "Practitioner", 1)[0]

    def register(numbers):
        line = Caller(server)
        for number in numbers:
            body = {"email": f"user-{number}@example.org", "groups": groups[number % 250:][:5]}
            if number < SIGNED_IN:
                body |= {"password": PASSWORD, "roles": ["reader"]}
            if number == CLINICIAN:
                body |= {"roles": ["clinician"], "profiles": [f"Practitioner/{practitioner}"]}
            line.ask("POST", server.project + "/admin/users", body)

    with concurrent.futures.ThreadPoolExecutor(PEOPLE_AT_ONCE) as pool:
        parts = [range(n, USERS, PEOPLE_AT_ONCE) for n in range(PEOPLE_AT_ONCE)]
        list(pool.map(register, parts))
    return groups, practitioner


def ids(admin, server, type, count):
    page = admin.ask("GET", f"{server.base}/{type}?_count={count}&_elements=id")
    return [entry["resource"]["id"] for entry in page["entry"]]


def care_teams(admin, server, practitioner, patients):
    for patient in patients:
        member = {"member": {"reference": f"Practitioner/{practitioner}"}}
        team = {"resourceType": "CareTeam", "status": "active", "participant": [member],
                "subject": {"reference": f"Patient/{patient}"}}
        admin.ask("POST", server.base + "/CareTeam", team)


def rules(groups):
    """What 20 groups may do, and what readers and clinicians may see."""
    yield {"id": "readers", "effect": "allow", "subjects": ["role:reader"],
           "actions": ["read", "search"], "kinds": ["*"]}
    yield {"id": "in-care", "effect": "allow", "subjects": ["role:clinician"],
           "actions": ["read", "search"], "kinds": ["Observation", "Condition", "Patient"],
           "relationship": "care-team"}
    yield {"id": "restricted", "effect": "deny", "subjects": ["everyone"], "actions": ["*"],
           "kinds": ["*"], "condition": "?_security=R"}
    for number in range(20):
        yield {"id": f"ward-{number}", "effect": "allow", "subjects": [f"group:{groups[number * 10]}"],
               "actions": ["update", "create"], "kinds": ["Patient", "Observation"]}


def sign_in(server, number):
    line = Caller(server, "none")
    body = {"email": f"user-{number % SIGNED_IN}@example.org", "password": PASSWORD}
    line.line.request("POST", server.project + "/auth/sign-in", json.dumps(body),
                      {"Content-Type": "application/json"})
    answer = line.line.getresponse()
    text = answer.read()
    if answer.status != 200:
        sys.exit(f"sign-in: {answer.status}: {text.decode()}")
    return json.loads(text)["access_token"]


def in_turns(name, users, paths, rounds):
    """Medians of the two: by as many connections, either first as often as the other."""
    admins = [Caller(user.server) for user in users]
    free, held = [], []
    for round in range(rounds):
        path, which = paths[round % len(paths)], round % len(users)
        turns = [(free, admins[which]), (held, users[which])]
        for times, caller in turns if chance.random() < 0.5 else reversed(turns):
            times.append(caller.timed(path))
    free, held = microseconds(free), microseconds(held)
    print(f"{name}: {free:.0f} us without rules, {held:.0f} with, {held - free:+.0f}, "
          f"{held / free:.2f} times", flush=True)


def refused(server, number, password):
    """A sign-in to no account, which costs what one to an account does."""
    line = http.client.HTTPConnection(server.host)
    body = {"email": f"nobody-{number}@example.org", "password": password}
    line.request("POST", server.project + "/auth/sign-in", json.dumps(body),
                 {"Content-Type": "application/json"})
    answer = line.getresponse()
    answer.read()
    if answer.status != 401:
        sys.exit(f"wrong password: {answer.status}")


def cost(server, count, work):
    """How long so many took, eight at a time, and their CPU time in ms each."""
    cpu, began = server.cpu(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(count)))
    return time.monotonic() - began, (server.cpu() - cpu) / count * 1000


def sign_ins(server):
    seconds, each = cost(server, SIGN_INS, lambda number: sign_in(server, number))
    # A password that is too long for anyone is refused without being hashed.
    _, hashed = cost(server, WRONG, lambda number: refused(server, number, PASSWORD))
    _, spared = cost(server, WRONG, lambda number: refused(server, number, "x" * 2000))
    argon = hashed - spared
    print(f"sign-ins: {SIGN_INS / seconds:.0f}/s, {each:.1f} ms CPU each, of which Argon2id "
          f"{argon:.1f} and all else {each - argon:.1f}", flush=True)


def measure_sign_ins(server):
    admin = Caller(server)
    for number in range(SIGNED_IN):
        body = {"email": f"user-{number}@example.org", "password": PASSWORD}
        admin.ask("POST", server.project + "/admin/users", body)
    sign_ins(server)


def measure(server):
    admin = Caller(server)
    began = time.monotonic()
    groups, practitioner = people(server, admin)
    policy = {"rules": list(rules(groups))}
    admin.ask("PUT", server.project + "/admin/policies/bench", policy)
    count = admin.ask("GET", server.base + "/?_summary=count")["total"]
    print(f"{USERS} users in {GROUPS} groups made in {time.monotonic() - began:.0f} s; "
          f"{count} resources", flush=True)
    patients = ids(admin, server, "Patient", PATIENTS)
    care_teams(admin, server, practitioner, patients[:IN_CARE])
    readers = [n for n in range(SIGNED_IN) if n != CLINICIAN]
    readers = [Caller(server, sign_in(server, number)) for number in readers]
    reads = [f"{server.base}/Patient/{id}" for id in patients]
    in_turns("warming up", readers, reads, 1000)
    in_turns("read, readers", readers, reads, ROUNDS)
    clinician = Caller(server, sign_in(server, CLINICIAN))
    for shape in SHAPES:
        in_turns(f"{shape}, readers", readers, [f"{server.base}/{shape}"], SEARCHES)
        in_turns(f"{shape}, clinician", [clinician], [f"{server.base}/{shape}"], SEARCHES)
    sign_ins(server)


def main(program, part="all"):
    only = part == "sign-ins"
    with tempfile.TemporaryDirectory() as folder:
        server = Server(program, folder + "/data", 0 if only else PATIENTS)
        try:
            if only:
                measure_sign_ins(server)
            else:
                measure(server)
        finally:
            server.process.terminate()
            server.process.wait()


main(*sys.argv[1:])
