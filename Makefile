# Everything a newcomer needs: `make demo`, `make test`. Each target sets up what it uses.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

# Clients iterate over sets: with another order a seed is another run, in the tests as on the command line.
export PYTHONHASHSEED := 0

.PHONY: demo test check bench explore lessons format proto clean

demo: $(READY) ## The main job: kill a leader under load, in the simulation and on real processes
	$(BIN)/fencepost run scenarios/leader-crash-acks-all.yaml --on sim --seed 1 --all-variants
	$(BIN)/fencepost run scenarios/leader-crash-acks-all.yaml --on local

test: $(READY)
	$(BIN)/python -m pytest

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tests/tidy/generate_rpc.py --check

bench: $(READY)
	$(BIN)/python -m tests.bench

SEEDS ?= 10000
explore: $(READY) ## Random faults, from where the last `make explore` stopped
	$(BIN)/fencepost explore scenarios/leader-crash-acks-all.yaml --continue --seeds $(SEEDS)
	$(BIN)/fencepost explore scenarios/exactly-once-under-kills.yaml --continue --seeds $(SEEDS)
	$(BIN)/fencepost explore scenarios/group-survives-its-coordinator.yaml --continue --seeds $(SEEDS)

lessons: $(READY) ## Every lesson and variant on fifty seeds, and once on real processes
	LESSON_SEEDS=50 $(BIN)/python -m pytest tests/scenario/test_lessons.py
	for lesson in scenarios/lessons/*.yaml; do $(BIN)/fencepost run $$lesson --on local --all-variants || exit 1; done

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: $(READY) ## Regenerate cluster/rpc from proto/
	$(BIN)/python tests/tidy/generate_rpc.py

$(READY): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $(READY)

clean:
	rm -rf $(VENV) build *.egg-info runs
