"""Prints what is in an OCI layout as JSON: the config, and of each layer the digest of its blob and its entries; none of those that
the further arguments name. Reads with Python's tarfile, not with ours."""
import gzip, hashlib, json, os, sys, tarfile

folder, known = sys.argv[1], set(sys.argv[2:])


def blob(descriptor):
    return open(os.path.join(folder, "blobs", *descriptor["digest"].split(":")), "rb")


def manifest_of(document):
    """The image's, past indexes and attestations."""
    while "manifests" in document:
        images = [one for one in document["manifests"] if one.get("platform", {}).get("os") != "unknown"]
        assert len(images) == 1, images
        document = json.load(blob(images[0]))
    return document


def text(name):
    return os.fsencode(name).decode("utf-8", "backslashreplace")


KINDS = {tarfile.REGTYPE: "file", tarfile.AREGTYPE: "file", tarfile.DIRTYPE: "directory", tarfile.SYMTYPE: "symlink",
         tarfile.LNKTYPE: "hardlink", tarfile.CHRTYPE: "character device", tarfile.BLKTYPE: "block device", tarfile.FIFOTYPE: "pipe"}


def entry(tar, one):
    sha = hashlib.sha256()
    size = 0
    if one.isreg():
        content = tar.extractfile(one)
        while piece := content.read(1 << 20):
            sha.update(piece)
            size += len(piece)
    device = one.type in (tarfile.CHRTYPE, tarfile.BLKTYPE)
    return {
        "path": text(one.name).strip("/").removeprefix("./"), "kind": KINDS[one.type], "mode": one.mode & 0o7777, "uid": one.uid, "gid": one.gid,
        "link": text(one.linkname) if one.issym() else text(one.linkname).strip("/").removeprefix("./"),
        "size": size, "sha256": sha.hexdigest() if one.isreg() else "",
        "device": f"{one.devmajor}:{one.devminor}" if device else "", "time": int(one.mtime),
        "xattrs": {name.removeprefix("SCHILY.xattr."): value.encode("utf-8", "surrogateescape").hex()
                   for name, value in one.pax_headers.items() if name.startswith("SCHILY.xattr.")},
    }


def layer(descriptor):
    if descriptor["digest"] in known:
        return descriptor["digest"], None
    with blob(descriptor) as file:
        stream = gzip.open(file) if descriptor["mediaType"].endswith("gzip") else file
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            return descriptor["digest"], [entry(tar, one) for one in tar]


manifest = manifest_of(json.load(open(os.path.join(folder, "index.json"))))
json.dump({"config": json.load(blob(manifest["config"])), "layers": [layer(one) for one in manifest["layers"] or []]}, sys.stdout)
