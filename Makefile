# Two commands do all: `make demo` inventories this machine and reports on it; `make test` checks everything.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.PHONY: demo test lint types lock lab clean system-packages

demo: $(VENV)/.installed
	$(BIN)/keyatlas demo

test: system-packages $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 $(PYTEST)

lab: $(VENV)/.installed
	$(BIN)/jupyter lab notebooks

# The lock carries hashes: what is installed is what was tested, wherever it is downloaded from.
$(VENV)/.installed: requirements/all.txt pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/all.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/.installed-dev: requirements/dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	touch $@

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("keyatlas needs Python 3.11 or newer; say which: make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# The real parts that tests run against. Without the right to install them, the tests that need one say so.
PARTS := softhsm2-util:softhsm2 pkcs11-tool:opensc certutil:libnss3-tools chromium:chromium pdftoppm:poppler-utils ssh-keygen:openssh-client \
  openssl:openssl git:git cc:gcc keytool:default-jre-headless pg_ctlcluster:postgresql strace:strace p11-kit:p11-kit \
  /usr/lib/*/pkcs11/p11-kit-client.so:p11-kit-modules swtpm:swtpm tpm2_flushcontext:tpm2-tools \
  /usr/lib/*/libtpm2_pkcs11.so.1:libtpm2-pkcs11-1 pkcsslotd:opencryptoki /usr/include/nss/pkcs11t.h:libnss3-dev
system-packages:
	@missing=""; for part in $(PARTS); do command -v $${part%%:*} >/dev/null || ls $${part%%:*} >/dev/null 2>&1 || missing="$$missing $${part##*:}"; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	  else echo "not installed here (tests that need them will be skipped):$$missing"; fi; fi

lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra all pyproject.toml -o requirements/all.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra all --group dev pyproject.toml -o requirements/dev.txt

clean:
	rm -rf $(VENV) .keyatlas .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
