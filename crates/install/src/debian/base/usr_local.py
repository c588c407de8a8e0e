"""Packages of this Python lie in /usr/local as in one that was built for /usr/local.

Debian's Python adds "local" to every prefix that pip is given, and calls the folder dist-packages: what
`pip install --prefix=/install` makes would not be found once /install is copied to /usr/local. Here its scheme for that is
the usual one, below /usr/local where no other prefix is given. dist-packages there is a link to site-packages.
"""

import sys

VERSION = "%d.%d" % sys.version_info[:2]
LOCAL = "/usr/local/lib/python" + VERSION
PLACES = ("purelib", "platlib", "scripts", "data")


def usual(sysconfig):
    """Changes the scheme of a sysconfig that has Debian's."""
    expand = getattr(sysconfig, "_expand_vars", None)
    if expand is None or "posix_local" not in sysconfig.get_scheme_names():
        return

    def expand_vars(scheme, vars):
        given = dict(vars or {})
        paths = expand(scheme, vars)
        if scheme == "posix_local":
            for base in ("base", "platbase"):
                own = sysconfig.get_config_var(base)
                if given.get(base, own) == own:
                    given[base] = own + "/local"
            like = expand("posix_prefix", given)
            paths.update((place, like[place]) for place in PLACES)
        return paths

    sysconfig._expand_vars = expand_vars


class Finder:
    """Waits until somebody imports sysconfig, which most programs never do."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "sysconfig":
            return None
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module):
                load(module)
                usual(module)

            spec.loader.exec_module = exec_module
        return spec


sys.path[:] = [LOCAL + "/site-packages" if path == LOCAL + "/dist-packages" else path for path in sys.path]
if "sysconfig" in sys.modules:
    usual(sys.modules["sysconfig"])
else:
    sys.meta_path.insert(0, Finder)
