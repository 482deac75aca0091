# Everything a contributor runs. Needs Python >= 3.10 and make; the rest goes into .venv.
#   make test PYTHON=python3.12          another interpreter for .venv
#   make test MICROPYTHON=/path/to/one   another MicroPython than the wheel's
#   make test ARGS="tests/host -k qos2"  arguments for pytest (the other tools take ARGS too)

PYTHON ?= python3
ARGS ?=
PY := .venv/bin/python
# Test files run side by side, since most of them wait for something; 0: one after the other.
JOBS ?= 3
STAMP := .venv/.stamp

# tools/ first: the tests must use this tree's harness, whatever is installed.
export PYTHONPATH := $(CURDIR)/tools:$(CURDIR)
ifdef MICROPYTHON
export MICROPYTHON
endif

.DEFAULT_GOAL := help
.PHONY: help setup test demo broker brokers lint doctor size bench bench-plots profile soak prove kills fuzz stampede \
	firmware emulate session release coverage \
	flash deploy provision monitor test-target clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

$(STAMP): tools/requirements.txt tools/setup_venv.py
	@$(PYTHON) tools/setup_venv.py
	@touch $@

setup: $(STAMP) ## make .venv with the pinned tools

test: $(STAMP) ## all tests: CPython, MicroPython's unix port, brokers
	@$(PY) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

demo: $(STAMP) ## a broker, a sensor on MicroPython and what passes between them
	@$(PY) tools/demo.py $(ARGS)

broker: $(STAMP) ## the bundled broker on port 1883 (ARGS="--port 1884 --verbose")
	@$(PY) -m umqtt_harness.broker $(ARGS)

lint: $(STAMP) ## ruff, codespell, and mypy with MicroPython's own modules
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m codespell_lib
	@$(PY) tools/typecheck.py

brokers: $(STAMP) ## one suite against nine real brokers (ARGS="nats"; BROKER=host:port for yours)
	@$(PY) -m brokers $(ARGS)

doctor: $(STAMP) ## why does it not connect? (ARGS="HOST[:PORT] --tls --cafile FILE --user NAME")
	@$(PY) tools/doctor.py $(ARGS)

size: $(STAMP) ## bytes on flash and heap, against the budgets
	@$(PY) tools/size.py $(ARGS)

bench: $(STAMP) ## messages a second, against bare sockets
	@$(PY) tools/bench.py $(ARGS)

bench-plots: $(STAMP) ## the same with instruction counts; writes RESULTS.md and its plots
	@$(PY) tools/bench.py --instructions --report $(ARGS)

profile: $(STAMP) ## where instructions and bytes go (ARGS=--report writes PROFILE.md; valgrind)
	@$(PY) tools/profiler.py $(ARGS)

soak: $(STAMP) ## ten minutes of faults: nothing lost, nothing twice, no heap (ARGS="--seed 7")
	@$(PY) tools/soak.py $(ARGS)

prove: $(STAMP) ## exactly once over cuts of power and link, all of them; without ARGS 2000 kills
	@$(PY) tools/prove.py $(ARGS)
ifeq ($(strip $(ARGS)),)
	@$(MAKE) --no-print-directory kills ARGS=
	@$(MAKE) --no-print-directory kills ARGS="--broker mosquitto"
endif

kills: $(STAMP) ## a durable client is killed 1000 times (ARGS="--broker mosquitto")
	@$(PY) tools/kills.py $(ARGS)

FUZZ := .venv/.fuzz
$(FUZZ): $(STAMP) tools/requirements-fuzz.txt
	@$(PY) -m pip install -q --disable-pip-version-check -r tools/requirements-fuzz.txt \
		|| echo "fuzz: atheris could not be installed; changing known inputs at random instead"
	@touch $@

fuzz: $(FUZZ) ## looks for inputs that the client cannot take (ARGS="--seconds 600 --jobs 2")
	@$(PY) tools/fuzz.py $(ARGS)

stampede: $(STAMP) ## 500 clients whose broker restarts, simulated with the real code
	@$(PY) tools/stampede.py $(ARGS)

ON_BOARD = $(if $(PORT),--port "$(PORT)") $(ARGS)

firmware: $(STAMP) ## flash and heap of each slice in rp2 firmware; with BOARD= MICROPYTHON_DIR= builds
ifdef MICROPYTHON_DIR
	@$(PY) -m board build --board "$(BOARD)" "$(MICROPYTHON_DIR)" $(ARGS)
else
	$(if $(BOARD),$(error firmware: BOARD= also needs MICROPYTHON_DIR=/path/to/micropython))
	@mkdir -p build
	@$(PY) -m firmware table --json build/firmware.json $(ARGS)
endif

flash: $(STAMP) ## MicroPython onto a board (BOARD=RPI_PICO_W FIRMWARE=file.uf2, PORT=..)
	@$(PY) -m board flash --board "$(BOARD)" "$(FIRMWARE)" $(ON_BOARD)

deploy: $(STAMP) ## umqtt_plus and the sensor of boards/ onto a board (BOARD=.., ARGS=--dry-run)
	@$(PY) -m board deploy --board "$(BOARD)" $(ON_BOARD)

provision: $(STAMP) ## secrets.py onto a board, never shown (ARGS="--file secrets.py")
	@$(PY) -m board provision $(ON_BOARD)

monitor: $(STAMP) ## what the board prints; MQTT=host: what it publishes
	@$(PY) -m board monitor $(if $(MQTT),--mqtt "$(MQTT)") $(ON_BOARD)

test-target: $(STAMP) ## the unit tests on an attached board (ARGS="test_topic.py")
	@$(PY) -m board test-target $(ON_BOARD)

emulate: $(STAMP) ## all proof on an emulated RP2040 (ARGS=test_topic.py, FIRMWARE=pico_w.uf2)
	@$(PY) -m firmware emulate $(if $(FIRMWARE),--firmware "$(FIRMWARE)") $(ARGS)

session: $(STAMP) ## 3.1.1, 5.0, WebSocket, TLS, asyncio from that chip, by lwIP and PPP (ARGS=tls)
	@$(PY) -m firmware session $(ARGS)

release: $(STAMP) ## .mpy files and a package.json for each slice, into build/release
	@$(PY) -m firmware release build/release

coverage: $(STAMP) ## which MQTT statement is proven by which test
	@$(PY) tools/coverage.py $(ARGS)

clean: ## remove .venv and caches, but .cache (what firmware, brokers and size have fetched)
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build *.egg-info tools/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
