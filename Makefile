# Needs Python 3.11 to 3.13, make and a package index; `make` lists the targets.
# ARGS goes to the command: make train ARGS="likelihood=gaussian", make test ARGS="-k wheel".

VENV = .venv
PY = $(VENV)/bin/python
FLOORS = build/floors
EXTRAS = build/extras
# one OpenMP thread a worker: spinning threads on busy cores are many times slower than none
PYTEST = OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --maxprocesses 8 --dist loadgroup

supported = import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# the first of these that is new enough, and not too new; to change it: make clean, make train PYTHON=/path/to/python
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c "$(supported)" 2>/dev/null && echo $$python && exit; done; echo python3)

.PHONY: help train test nightly floors extras slurm lint docs bench gpu wheel supply clean
.NOTPARALLEL:

help:
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

train: $(VENV)/installed  ## train a VAE; ARGS="key=value ..." as for `vaekl train`
	@$(PY) -m vaekl train $(ARGS)

test: $(VENV)/installed-dev  ## run the tests, on all cores
	@$(PYTEST) $(ARGS)

nightly: $(VENV)/installed-dev  ## run the slow proofs, and without ARGS the tests with the oldest libraries
	@failed=0; \
	$(PYTEST) -m nightly $(ARGS) || failed=1; \
	$(if $(ARGS),,$(MAKE) floors || failed=1; $(MAKE) extras || failed=1;) \
	exit $$failed

floors: $(FLOORS)/installed  ## run the tests with the oldest versions of the libraries that pyproject.toml allows
	@$(subst $(PY),$(FLOORS)/venv/bin/python,$(PYTEST)) $(ARGS)

extras: $(EXTRAS)/installed  ## run the tests that need MLflow, Weights & Biases or Jupyter, installed apart
	@OMP_NUM_THREADS=1 $(EXTRAS)/bin/python -m pytest $(or $(ARGS),tests/training/callbacks/test_trackers.py tests/test_examples.py)

slurm: $(VENV)/installed-dev  ## start a one-node Slurm (as root, from Debian's packages), run the tests that need it, stop it
	@conf=$$(tests/slurm/cluster.sh start) && eval "$$conf" && trap 'tests/slurm/cluster.sh stop' EXIT && \
	OMP_NUM_THREADS=1 $(PY) -m pytest -m slurm $(ARGS)

lint: $(VENV)/installed-dev  ## ruff, mypy, and the floors of the house
	@failed=0; \
	$(PY) -m ruff check || failed=1; \
	$(PY) -m ruff format --check || failed=1; \
	$(PY) -m mypy || failed=1; \
	$(VENV)/bin/lint-imports || failed=1; \
	exit $$failed

docs: $(VENV)/installed-dev  ## build the documentation in build/site, links checked; open build/site/index.html
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build -q $(ARGS)

bench: $(VENV)/installed-dev  ## measure speed beside a limit and other libraries; ARGS="--smoke", ARGS="speed --only mlp"
	@$(PY) -m benchmarks $(ARGS)

gpu: $(VENV)/installed-dev  ## test and measure on a GPU, in less than 8 minutes; without one ARGS="--device cpu --smoke"
	@$(PY) -m benchmarks.gpu $(ARGS)

wheel: $(VENV)/installed-dev  ## build the sdist and the wheel in dist/
	@$(PY) -m build --no-isolation

supply: wheel  ## what the wheel brings along: a CycloneDX list of it in dist/, and whether a vulnerability is known
	rm -rf build/supply
	$(PYTHON) -m venv build/supply/wheel && $(PYTHON) -m venv build/supply/tools
	build/supply/wheel/bin/pip install -q -c constraints.txt "$$(ls -t dist/*.whl | head -n 1)"
	build/supply/tools/bin/pip install -q pip-audit cyclonedx-bom
	build/supply/tools/bin/cyclonedx-py environment --output-reproducible --pyproject pyproject.toml \
		-o dist/vaekl.cdx.json build/supply/wheel
	build/supply/tools/bin/pip-audit --path build/supply/wheel/lib/python3*/site-packages

clean:  ## remove all that was installed or built; the runs in outputs/ stay
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find vaekl tests -name __pycache__ -prune -exec rm -rf {} +

# the last line of an install writes its stamp, so that a broken one is done again
define install
rm -f $(VENV)/installed*
$(PYTHON) -c "$(supported)" || { \
	echo "vaekl needs Python 3.11, 3.12 or 3.13, but $(PYTHON) is not one:" \
	"$$($(PYTHON) --version 2>&1 | head -n 1). Name another: make PYTHON=/path/to/python $(MAKECMDGOALS)"; exit 1; } >&2
$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || { \
	echo "$(PYTHON) comes without its venv module: on Debian and Ubuntu, apt install python3-venv."; exit 1; } >&2
$(PY) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
echo "Installing vaekl and what it needs in $(VENV): PyTorch is large, this takes some minutes the first time."
$(PY) -m pip install -c constraints.txt -e '$(1)'
endef

$(VENV)/installed: pyproject.toml constraints.txt
	@$(call install,.)
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt
	@$(call install,.[dev])
	@touch $(VENV)/installed $@

# what is not there yet comes on top of the libraries of $(VENV)
$(EXTRAS)/installed: $(VENV)/installed-dev
	@$(PY) -m venv --clear $(EXTRAS)
	@site="import sysconfig; print(sysconfig.get_path('purelib'))"; \
	$(PY) -c "$$site" > "$$($(EXTRAS)/bin/python -c "$$site")/shared.pth"
	@$(EXTRAS)/bin/python -m pip install -q 'mlflow>=3' 'wandb>=0.20' nbclient ipykernel
	@touch $@

# antlr4 alone has no wheel; of the others the oldest that has one for this Python
$(FLOORS)/installed: pyproject.toml
	@rm -rf $(FLOORS)
	@$(PYTHON) -m venv $(FLOORS)/tools && $(FLOORS)/tools/bin/pip install -q uv
	@$(FLOORS)/tools/bin/uv venv -q --seed --python $(PYTHON) $(FLOORS)/venv
	@$(FLOORS)/tools/bin/uv pip install -q --python $(FLOORS)/venv/bin/python --resolution lowest-direct \
		--only-binary :all: --no-binary antlr4-python3-runtime -e '.[dev]'
	@touch $@
