"""The child process that alone talks to a PKCS#11 module: `collectors._pkcs11.start`.

It is a package of its own because the child must start fast: importing `collectors.pkcs11` would load what only the
parent needs.
"""
