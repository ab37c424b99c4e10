"""The counting of a month on a Spark Connect server, against the counting in the program: the same reports and histories, cell by cell.

    COHORTS_BIN=… python3 tests/engine/run.py SAIL [BUCKET]
    COHORTS_BIN=… python3 tests/engine/run.py sc://HOST:PORT

SAIL is the program of the server (`sail`). With the address of a server that runs already and can read this machine's folders, nothing is
tried that ends it. BUCKET is a place in a bucket, like s3://results: then all is done there too, on a server with two
workers; AWS_ variables say how to reach it.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent import futures
from pathlib import Path

import grpc
import pyarrow
import pyarrow.parquet as parquet

PROGRAM = Path(os.environ["COHORTS_BIN"]).resolve()
SAIL = sys.argv[1]
BUCKET = sys.argv[2] if len(sys.argv) > 2 else None
LAST = "2026-10"
GAP = "2026-08"
JOB = """
name = "demo"
timezone = "Europe/Dublin"
tags = ["value_lead", "VIP", "churn risk", "beta tester"]
segments = ["Active", "New", "Slipping Away", "Trial users", "Leads to call"]
profile = ["role", "country", "browser", "os", "custom_attributes.plan", "custom_attributes.seats"]
html_members = true

[[rules]]
name = "heavy-openers"
where = "conversations_opened >= 2 AND NOT unsubscribed_from_emails"

[[rules]]
name = "odd"
where = "country IN ('Ireland', 'it''s', 'a\\\\b') AND 'UTC' <> '${spark.sql.session.timeZone}' AND custom_attributes.seats > 2.5 OR tag.VIP AND newly_unsubscribed"
"""


def free_port():
    """A port below those from which the system takes ports for clients."""
    for port in range(21000, 31000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    sys.exit("no port is free")


class Running:
    """A server that runs already."""

    def __init__(self, address):
        self.address = address

    def url(self):
        return self.address

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


class Server:
    """Sail, and where it listens."""

    def __init__(self, folder, workers=0, port=None):
        self.port = port or free_port()
        self.folder = folder
        environment = dict(os.environ, RUST_LOG="error")
        environment.pop("AWS_ENDPOINT_URL", None)
        if workers:
            environment.update(
                SAIL_MODE="local-cluster",
                SAIL_CLUSTER__WORKER_INITIAL_COUNT=str(workers),
                SAIL_CLUSTER__WORKER_MAX_COUNT=str(workers),
                SAIL_CLUSTER__WORKER_TASK_SLOTS="64",
            )
        log = open(folder / f"sail-{self.port}.log", "ab")
        self.process = subprocess.Popen([SAIL, "spark", "server", "--port", str(self.port)], env=environment, stdout=log, stderr=log, start_new_session=True)
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        sys.exit("the server does not listen")

    def url(self):
        return f"sc://127.0.0.1:{self.port}"

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()


class Cuts:
    """Passes connections on to a server, and cuts all of them some times."""

    def __init__(self, server, times=6, every=1.0):
        self.target, self.times, self.every, self.open, self.cut = server.port, times, every, set(), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.ends = threading.Event()
        for work in (self.accept, self.cutting):
            threading.Thread(target=work, daemon=True).start()

    def url(self):
        return f"sc://127.0.0.1:{self.listener.getsockname()[1]}"

    def accept(self):
        while not self.ends.is_set():
            try:
                one, _ = self.listener.accept()
                other = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                continue
            self.open |= {one, other}
            for source, target in ((one, other), (other, one)):
                threading.Thread(target=self.pump, args=(source, target), daemon=True).start()

    def pump(self, source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            end.close()

    def cutting(self):
        for _ in range(self.times):
            if self.ends.wait(self.every):
                return
            for end in list(self.open):
                self.open.discard(end)
                try:
                    end.shutdown(socket.SHUT_RDWR)
                    self.cut += 1
                except OSError:
                    pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.listener.close()


def openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True)


class Asks(grpc.GenericRpcHandler):
    """A server with TLS that wants a token, and then knows nothing."""

    def __init__(self, folder):
        self.certificate = folder / "authority.pem"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "authority.key", "-out", "authority.pem", "-days", "2", "-subj", "/CN=authority", cwd=folder)
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=localhost", cwd=folder)
        (folder / "names").write_text("subjectAltName=DNS:localhost\n")
        signed = ("-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", "request.pem", "-out", "certificate.pem", *signed, cwd=folder)
        keys = [((folder / "key.pem").read_bytes(), (folder / "certificate.pem").read_bytes())]
        self.server = grpc.server(futures.ThreadPoolExecutor(2), handlers=[self])
        self.port = self.server.add_secure_port("localhost:0", grpc.ssl_server_credentials(keys))
        self.server.start()

    def service(self, details):
        is_known = ("authorization", "Bearer invented-token") in details.invocation_metadata

        def answer(_, context):
            code = grpc.StatusCode.UNIMPLEMENTED if is_known else grpc.StatusCode.UNAUTHENTICATED
            context.abort(code, "the token is known" if is_known else "who are you?")

        return grpc.unary_unary_rpc_method_handler(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop(None)


def environment(output, server=None, **more):
    found = {key: value for key, value in os.environ.items() if not key.startswith("COHORTS__")}
    found["COHORTS__OUTPUT__DIR"] = str(output)
    if server:
        found.update(COHORTS__ENGINE__KIND="spark", COHORTS__ENGINE__URL=server if isinstance(server, str) else server.url())
    return found | more


def cohorts(*arguments, env, code=0):
    done = subprocess.run([PROGRAM, *arguments], env=env, capture_output=True, text=True)
    if done.returncode != code:
        sys.exit(f"{arguments} ended with {done.returncode} instead of {code}\n{done.stdout}\n{done.stderr}")
    return done


def table(folder, name):
    """A table that is a file or a folder of files. Each file must be in order: returns whether it is."""
    found = [path for path in folder.glob(f"{name}.*parquet")] + sorted((folder / name).glob("*.parquet"))
    # A page of a bucket's parts has a hash in its name.
    tables = [parquet.read_table(path) for path in found]
    return pyarrow.concat_tables(tables), tables


def kinds(read):
    return [(field.name, str(field.type).replace("large_", "")) for field in read.schema]


def contents(path):
    """The bytes of a file, and the texts of a table."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    read = parquet.read_table(path)
    return "\0".join(str(value) for name in read.schema.names for value in set(read.column(name).to_pylist())).encode()


def rows(read, names):
    return list(zip(*(read.column(name).to_pylist() for name in names)))


def compare(ours, theirs, on_server=True):
    """All tables of all months. Returns the number of tables and rows."""
    tables = count = 0
    for section in ("history", "reports"):
        months = sorted(path.name for path in (theirs / section).iterdir())
        if months != sorted(path.name for path in (ours / section).iterdir()):
            sys.exit(f"{section}: the months differ")
        for month in months:
            one, other = ours / section / month, theirs / section / month
            names = {path.name.split(".")[0] for path in other.glob("*.parquet")}
            for name in sorted(names):
                (a, parts), (b, _) = table(one, name), table(other, name)
                if kinds(a) != kinds(b):
                    sys.exit(f"{month}: the columns of `{name}` differ: {sorted(set(kinds(a)) ^ set(kinds(b)))}")
                columns = b.schema.names
                mine, its = sorted(rows(a, columns), key=repr), sorted(rows(b, columns), key=repr)
                if mine != its:
                    only = [row for row in mine if row not in its][:3], [row for row in its if row not in mine][:3]
                    sys.exit(f"{section} {month}: `{name}` differs: the server alone {only[0]}, the program alone {only[1]}")
                key = [column for column in ("month", "cohort_key", "contact_id", "attribute") if column in columns]
                if (one / name).is_dir() and any(rows(part, key) != sorted(rows(part, key)) for part in parts):
                    sys.exit(f"{section} {month}: a part of `{name}` is not in the order of its key")
                tables, count = tables + 1, count + len(its)
            if section == "reports":
                for path in list(other.glob("*.csv")) + list(other.glob("*.html")):
                    if path.read_bytes() != (one / path.name).read_bytes():
                        sys.exit(f"{month}: `{path.name}` differs")
            listed = json.loads((one / "manifest.json").read_text())["files"]
            for file in listed:
                if ("sha256" in file) == ("etag" in file):
                    sys.exit(f"{month}: {file} has no checksum, or two")
            if on_server and section == "reports" and not any(file["path"].startswith("members/part-") for file in listed):
                sys.exit(f"{month}: the parts of `members` are not listed")
    return tables, count


def copied(job, output, target):
    cohorts("copy", "--job", job, "--to", target, env=environment(output))


def main(tmp):
    begun = time.monotonic()
    job = tmp / "job.toml"
    job.write_text(JOB)
    program = tmp / "program"
    cohorts("demo", "--out", program, "--months", "6", env=environment(program))
    for section in ("snapshots", "history", "reports"):
        shutil.rmtree(program / "demo" / section / f"run_month={GAP}")
    cohorts("report", "--job", job, "--all", env=environment(program))

    # A folder that the server can read.
    is_ours = not SAIL.startswith("sc://")
    with Server(tmp) if is_ours else Running(SAIL) as server:
        said = cohorts("check", "--job", job, env=environment(program, server), code=3).stdout
        if "engine" not in said or "session" not in said:
            sys.exit(f"check does not name the engine:\n{said}")
        folder = tmp / "folder"
        shutil.copytree(program, folder)
        cohorts("report", "--job", job, "--all", env=environment(folder, server))
        print("a folder: %d tables, %d rows, the same" % compare(folder / "demo", program / "demo"))
        if (folder / "demo/.engine").exists() and any((folder / "demo/.engine").iterdir()):
            sys.exit("what the server wrote is not removed")
        # 8 for the gap.
        if "damaged" in cohorts("status", "--job", job, "--check", env=environment(folder), code=8).stdout:
            sys.exit("what the server counted is damaged")

        # History that one engine made is gone on with by the other.
        for first, second in ((folder, None), (program, server)):
            mixed = tmp / f"mixed-{second is None}"
            shutil.copytree(first, mixed)
            for section in ("history", "reports"):
                shutil.rmtree(mixed / "demo" / section / f"run_month={LAST}")
            cohorts("report", "--job", job, "--month", LAST, env=environment(mixed, second))
            expected = tmp / f"expected-{second is None}"
            shutil.copytree(program, expected)
            for section in ("history", "reports"):
                for month in (path for path in (expected / "demo" / section).iterdir() if path.name != f"run_month={LAST}"):
                    shutil.rmtree(month)
            for section in ("history", "reports"):
                for month in (path for path in (mixed / "demo" / section).iterdir() if path.name != f"run_month={LAST}"):
                    shutil.rmtree(month)
            compare(mixed / "demo", expected / "demo", on_server=second is not None)
        print("a month after one that the other engine counted: the same")

        # A person is removed: every month is published anew.
        person = table(program / "demo/reports" / f"run_month={LAST}", "members")[0].column("contact_id")[0].as_py()
        for place, on in ((program, None), (folder, server)):
            cohorts("forget", "--job", job, "--contact", person, env=environment(place, on))
        left = [path for path in (folder / "demo").rglob("*") if path.is_file() and person.encode() in contents(path)]
        if left:
            sys.exit(f"a person who was removed is still in {left}")
        print("without a person: %d tables, %d rows, the same" % compare(folder / "demo", program / "demo"))

        if is_ours:
            with Cuts(server) as cuts:
                cut = tmp / "cut"
                shutil.copytree(folder, cut)
                cohorts("report", "--job", job, "--all", env=environment(cut, cuts.url()))
                print(f"{cuts.cut} connections cut: %d tables, %d rows, the same" % compare(cut / "demo", program / "demo"))
        with Asks(tmp) as asks:
            secret = tmp / "token"
            for token, trusts, code, words in (
                ("wrong", True, 3, "who are you?"),
                ("invented-token", True, 2, "the token is known"),
                ("invented-token", False, 2, "is not trusted"),
            ):
                secret.write_text(f"{token}\n")
                known = environment(folder, f"sc://localhost:{asks.port}/;use_ssl=true", COHORTS__ENGINE__TOKEN_FILE=str(secret))
                if trusts:
                    known["SSL_CERT_FILE"] = str(asks.certificate)
                said = cohorts("report", "--job", job, "--month", LAST, env=known, code=code)
                if words not in said.stderr or token in said.stderr.replace(words, "") + said.stdout:
                    sys.exit(f"a token was not sent, or is shown:\n{said.stderr}")
        print("a token over TLS: sent, and not shown")

        if not is_ours:
            return print(f"all in {time.monotonic() - begun:.0f} s")

        # A server that is gone, and comes back.
        gone = tmp / "gone"
        shutil.copytree(program, gone)
        shutil.rmtree(gone / "demo/reports")
        shutil.rmtree(gone / "demo/history")
        impatient = environment(gone, server, COHORTS__INTERCOM__GIVE_UP_AFTER="2s")
        running = subprocess.Popen([PROGRAM, "--log-format", "json", "report", "--job", job, "--all"], env=impatient, stderr=subprocess.PIPE, text=True)
        lines = []
        for line in running.stderr:
            lines.append(line)
            if '"query":"standing"' in line:
                server.kill()
        if running.wait() != 5:
            sys.exit(f"a server that is gone ended with {running.returncode}:\n{''.join(lines)}")
    with Server(tmp, port=server.port) as server:
        patient = environment(gone, server)
        running = subprocess.Popen([PROGRAM, "--log-format", "json", "report", "--job", job, "--all"], env=patient, stderr=subprocess.PIPE, text=True)
        restarted = None
        for line in running.stderr:
            if '"query":"standing"' in line and restarted is None:
                server.kill()
                restarted = Server(tmp, port=server.port)
        try:
            if running.wait() != 0:
                sys.exit(f"a server that was restarted ended with {running.returncode}")
            print("after a server that was killed, %d tables, %d rows, the same" % compare(gone / "demo", program / "demo"))
            refused = environment(gone, restarted, COHORTS__ENGINE__PATH=str(tmp / "nowhere"))
            error = cohorts("report", "--job", job, "--month", LAST, env=refused, code=1).stderr
            if "contacts" not in error and "standing" not in error:
                sys.exit(f"the query is not named: {error}")
            running = subprocess.Popen([PROGRAM, "--log-format", "json", "report", "--job", job, "--all"], env=environment(gone, restarted), stderr=subprocess.PIPE, text=True)
            for line in running.stderr:
                if '"query":"opened"' in line:
                    running.send_signal(signal.SIGTERM)
            if running.wait() != 130:
                sys.exit(f"an interrupted report ended with {running.returncode}")
        finally:
            restarted.kill()
    # One that takes connections and says nothing.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_url = f"sc://127.0.0.1:{silent.getsockname()[1]}"
        cohorts("report", "--job", job, "--month", LAST, env=environment(gone, silent_url, COHORTS__INTERCOM__GIVE_UP_AFTER="2s"), code=5)
    absent = environment(gone, f"sc://127.0.0.1:{free_port()}", COHORTS__INTERCOM__GIVE_UP_AFTER="1s")
    cohorts("report", "--job", job, "--month", LAST, env=absent, code=5)

    if BUCKET:
        with Server(tmp, workers=2) as server:
            place = f"{BUCKET}/engine-{os.getpid()}"
            work = {"COHORTS__OUTPUT__WORK_DIR": str(tmp / "work")}
            copied(job, program, place)
            cohorts("report", "--job", job, "--all", env=environment(place, server, **work))
            cohorts("status", "--job", job, "--check", env=environment(place, **work), code=8)
            cohorts("copy", "--job", job, "--to", tmp / "bucket", env=environment(place, **work))
            print("a bucket, a server of two workers: %d tables, %d rows, the same" % compare(tmp / "bucket/demo", program / "demo"))
            # Another machine, without copies of its own, goes on in this process.
            other = {"COHORTS__OUTPUT__WORK_DIR": str(tmp / "other")}
            cohorts("report", "--job", job, "--month", LAST, env=environment(place, **other))
            cohorts("status", "--job", job, "--check", env=environment(place, **other), code=8)
    print(f"all in {time.monotonic() - begun:.0f} s")


with tempfile.TemporaryDirectory() as folder:
    main(Path(folder))
