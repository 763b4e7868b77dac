import hashlib


def digest_of_files(parts):
    out = {}
    for n, ps in parts.items():
        h = hashlib.blake2b(digest_size=8)
        for p in sorted(ps):
            h.update(p.read_bytes())
        out[n] = h.hexdigest()
    return out


def identity(*a, **k):
    return {}
