# Calls the hooks of a build backend (PEP 517). Only the standard library; Python 3.9 and newer.
# Arguments: a JSON object. Standard output: a line of JSON, then the wheel. The build itself writes to standard error.
import importlib
import importlib.metadata
import json
import os
import re
import shutil
import sys

answer = os.fdopen(os.dup(1), "wb")
os.dup2(2, 1)


def tell(**what):
    answer.write(json.dumps(what).encode() + b"\n")
    answer.flush()


def is_missing(requirement):
    name = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
    if name is None or ";" in requirement:
        return False
    try:
        importlib.metadata.distribution(name.group())
    except importlib.metadata.PackageNotFoundError:
        return True
    return False


order = json.loads(sys.argv[1])
os.umask(0o022)
os.chdir(order["source"])
# Not the working directory, unless the project says so.
sys.path.pop(0)
sys.path[:0] = [os.path.join(order["source"], path) for path in order["backend_path"]]
sys.argv = ["build"]
module, _, attributes = order["backend"].partition(":")
backend = importlib.import_module(module)
for attribute in filter(None, attributes.split(".")):
    backend = getattr(backend, attribute)
ask = getattr(backend, "get_requires_for_build_wheel", None)
missing = [requirement for requirement in (ask({}) if ask else []) if is_missing(requirement)]
if missing:
    tell(missing=missing)
    sys.exit(0)
os.makedirs(order["output"], exist_ok=True)
name = backend.build_wheel(order["output"], {}, None)
with open(os.path.join(order["output"], name), "rb") as wheel:
    tell(file=os.path.basename(name))
    shutil.copyfileobj(wheel, answer)
answer.flush()
