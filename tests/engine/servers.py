"""Starts the servers of .ci/engine and runs a command beside them.

    python3 tests/engine/servers.py sail|spark|bucket COMMAND…

`{url}` in the command is the address of the server: of Sail, of Spark itself, or of a bucket, for which AWS_ variables are set too.
"""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyspark
from pyarrow import fs

SCRIPTS = Path(sys.executable).parent
KEYS = {"AWS_ACCESS_KEY_ID": "invented", "AWS_SECRET_ACCESS_KEY": "invented", "AWS_REGION": "us-east-1"}


def sail(port, _):
    return [SCRIPTS / "sail", "spark", "server", "--port", str(port)], {}


def spark(port, folder):
    home = Path(pyspark.__file__).parent
    settings = {
        "spark.connect.grpc.binding.port": port,
        "spark.connect.grpc.binding.address": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": 4,
        "spark.sql.warehouse.dir": folder / "warehouse",
    }
    options = [text for key, value in settings.items() for text in ("--conf", f"{key}={value}")]
    command = [home / "bin/spark-submit", "--driver-memory", "2g", "--class", "org.apache.spark.sql.connect.service.SparkConnectServer"]
    return [*command, *options, "spark-internal"], {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}


def bucket(port, folder):
    ports = {"master": port + 1, "volume": port + 2, "filer": port + 3, "s3": port}
    options = [f"-{name}.port={number}" for name, number in ports.items()]
    command = [SCRIPTS / "weed", "server", f"-dir={folder}", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-volume.max=20"]
    return [*command, *options, "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0"], {}


# Below those, and 10,000 above that SeaweedFS uses too, from which the system takes ports for clients.
STARTED = {"sail": (sail, 20151), "spark": (spark, 20152), "bucket": (bucket, 20333)}


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def patiently(is_done, server, log):
    for _ in range(240):
        if server.poll() is not None:
            break
        if is_done():
            return
        time.sleep(0.5)
    sys.exit(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")


def made(port):
    """Whether the bucket is made."""
    options = {"access_key": "invented", "secret_key": "invented", "region": "us-east-1", "allow_bucket_creation": True}
    try:
        fs.S3FileSystem(endpoint_override=f"http://127.0.0.1:{port}", **options).create_dir("results")
        return True
    except OSError:
        return False


def main(kind, command):
    start, port = STARTED[kind]
    with tempfile.TemporaryDirectory() as folder:
        arguments, variables = start(port, Path(folder))
        log = Path(folder) / "server.log"
        with open(log, "wb") as output:
            server = subprocess.Popen(arguments, env=os.environ | variables, cwd=folder, stdout=output, stderr=output, start_new_session=True)
        try:
            patiently(lambda: listens(port), server, log)
            environment = dict(os.environ)
            url = f"sc://127.0.0.1:{port}"
            if kind == "bucket":
                patiently(lambda: made(port), server, log)
                url = "s3://results"
                environment |= KEYS | {"AWS_ENDPOINT": f"http://127.0.0.1:{port}", "AWS_ALLOW_HTTP": "true"}
            done = subprocess.run([text.replace("{url}", url) for text in command], env=environment)
        finally:
            if server.poll() is None:
                os.killpg(server.pid, signal.SIGTERM)
            server.wait()
    sys.exit(done.returncode)


main(sys.argv[1], sys.argv[2:])
