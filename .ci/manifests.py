"""The manifests of jobs/month-end.cronjob.yaml against Kubernetes' own schemas, and for what no schema tells: that the names in
them fit together, and that schedule and job are those of the files beside it. Run by .ci/jobs, with the timer's OnCalendar."""

import re
import sys
import tomllib

import kubernetes_validate
import yaml

VERSIONS = ["1.29", "1.37"]  # the oldest that the file is for, and the newest that the validator knows

problems = []


def expect(what, seen, wanted):
    if seen != wanted:
        problems.append(f"{what}: {seen!r}, expected {wanted!r}")


with open("jobs/month-end.cronjob.yaml") as file:
    manifests = {manifest["kind"]: manifest for manifest in yaml.safe_load_all(file)}
expect("kinds", sorted(manifests), ["ConfigMap", "CronJob", "PersistentVolumeClaim"])
for kind, manifest in manifests.items():
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
            print(f"{kind} {manifest['metadata']['name']} is valid in {version}")
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            path = ".".join(str(step) for step in getattr(error, "path", []))
            problems.append(f"{kind}, Kubernetes {version}: {path}: {error.message}")
if problems:
    sys.exit("\n".join(problems))

name_of = {kind: manifest["metadata"]["name"] for kind, manifest in manifests.items()}
cron_job = manifests["CronJob"]["spec"]
job = cron_job["jobTemplate"]["spec"]
pod = job["template"]["spec"]
[container] = pod["containers"]
volumes = {volume["name"]: volume for volume in pod["volumes"]}

expect("concurrencyPolicy", cron_job["concurrencyPolicy"], "Forbid")
expect("restartPolicy, with a podFailurePolicy", pod["restartPolicy"], "Never")
for rule in job["podFailurePolicy"]["rules"]:
    if "onExitCodes" in rule:
        expect("containerName of the rule of exit codes", rule["onExitCodes"]["containerName"], container["name"])
        expect("codes that pass and are tried again", (rule["action"], rule["onExitCodes"]["operator"], rule["onExitCodes"]["values"]), ("FailJob", "NotIn", [5, 7, 130, 137]))
expect("volumes that are mounted", sorted(mount["name"] for mount in container["volumeMounts"]), sorted(volumes))
expect("ConfigMap of the volume", volumes["job"]["configMap"]["name"], name_of["ConfigMap"])
expect("claim of the volume", volumes["output"]["persistentVolumeClaim"]["claimName"], name_of["PersistentVolumeClaim"])

with open("jobs/month-end.toml", "rb") as file:
    expect("the ConfigMap's job", tomllib.loads(manifests["ConfigMap"]["data"]["month-end.toml"]), tomllib.load(file))

with open("jobs/month-end.crontab") as file:
    crontab = file.read()
zone = re.search(r"^CRON_TZ=(.*)$", crontab, re.MULTILINE)[1]
fields = re.search(r"^(\d\S* \S+ \S+ \S+ \S+) ", crontab, re.MULTILINE)[1]
expect("schedule, beside the crontab's", cron_job["schedule"], fields)
expect("timeZone, beside the crontab's", cron_job["timeZone"], zone)
minute, hours, days, *_ = fields.split()
padded = [re.sub(r"\d+", lambda number: number[0].zfill(2), field) for field in (days.replace("-", ".."), hours, minute)]
expect("OnCalendar, beside the crontab's schedule", sys.argv[1], f"*-*-{padded[0]} {padded[1]}:{padded[2]}:00 {zone}")

if problems:
    sys.exit("\n".join(problems))
