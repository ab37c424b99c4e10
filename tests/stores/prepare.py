"""Waits for the servers of .ci/stores and makes their buckets."""
import time

import boto3
from azure.storage.blob import BlobServiceClient

# The account that Azurite has, with the key that its documentation prints: no secret.
ACCOUNT = {
    "account_name": "devstoreaccount1",
    "account_key": "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
}


def s3(port):
    keys = {"aws_access_key_id": "invented", "aws_secret_access_key": "invented", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", **keys)


def patiently(make):
    for _ in range(120):
        try:
            return make()
        except Exception as error:  # a server that is still starting fails in many ways
            last = error
            time.sleep(0.5)
    raise SystemExit(f"a server did not start: {last}")


patiently(lambda: s3(18333).create_bucket(Bucket="results"))
patiently(lambda: s3(15000).create_bucket(Bucket="kept"))
s3(15000).put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
azure = BlobServiceClient("http://127.0.0.1:11000/devstoreaccount1", credential=ACCOUNT, retry_total=0)
patiently(lambda: azure.create_container("results"))
