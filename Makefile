# What a person does here. `make` alone lists it.

PYTHON ?= python3
# More arguments of `nacre server`: make run ARGS='-D server.port=8850'
ARGS ?=
# Fuzzing: one target (all when empty) and the seconds each gets.
TARGET ?=
TIME ?= 600

.DEFAULT_GOAL := help
.PHONY: help run build check fmt clippy doc deny test unit golden doctor metrics compat torture faults watch soak promises bench fuzz clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build and start a server on 127.0.0.1:8848, data in ./nacre
	cargo run --release --locked -p nacre-cli -- server $(ARGS)

build: ## Build the binary that the tests run: target/debug/nacre
	cargo build --locked -p nacre-cli

check: fmt clippy doc deny ## Format, lints, documentation, licences

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --workspace --all-targets --locked -- -D warnings

# Private items are documented too, so that public pages may link to them.
doc:
	RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' cargo doc --workspace --no-deps --document-private-items --locked

# The fuzz targets are a workspace of their own, which nothing here compiles: its lock file must fit the crates' dependencies.
# That each target calls what there is to call is a test of nacre-fuzz.
deny:
	$(PYTHON) tools/deny.py
	@cargo metadata --locked --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null || { \
	    echo 'fuzz/Cargo.lock is behind: cargo metadata --format-version 1 --manifest-path fuzz/Cargo.toml >/dev/null'; exit 1; }

test: ## Install what the tests need and run all of them: unit, golden, doctor, metrics, compat, a short torture
	PYTHON='$(PYTHON)' tools/tests.sh unit golden torture doctor metrics compat

unit: ## Tests of the crates and of the tools
	PYTHON='$(PYTHON)' tools/tests.sh unit

golden: ## Replay the recorded answers of real Nacos servers
	PYTHON='$(PYTHON)' tools/tests.sh golden

metrics: ## Boards and alerts against a real Prometheus (fetched from Debian's packages); traces
	PYTHON='$(PYTHON)' tools/tests.sh metrics

doctor: ## Inject faults for real and compare what the doctor says
	PYTHON='$(PYTHON)' tools/tests.sh doctor

compat: ## Drive unmodified SDKs against the built binary (CLIENT=go for one of them)
	PYTHON='$(PYTHON)' tools/tests.sh compat

torture: build ## Kill -9 and power cuts under load, damaged files, nothing lost (CYCLES=200 CUTS=40 SEED=7)
	$(PYTHON) tests/torture/run.py torture --cycles $(or $(CYCLES),1000) --cuts $(or $(CUTS),200) $(if $(SEED),--seed $(SEED))

faults: build ## Full, read-only, failing and slow disk, stalls, clock jumps: nothing alive expires, all is told
	$(PYTHON) tests/torture/run.py faults --long

fuzz: ## Feed every parser and the cores by libFuzzer (TARGET=beat for one, TIME=600 seconds each)
	$(PYTHON) fuzz/fuzz.py $(TARGET) --time $(TIME)

watch: build ## Events lost, duplicated, reordered while connections are cut and the server is killed
	$(PYTHON) tests/torture/run.py watch

soak: build ## A thousand clients come and go for 15 minutes: nothing leaks, nobody is lost (SOAK=60 for seconds)
	$(PYTHON) tests/torture/run.py soak --seconds $(or $(SOAK),900) $(ARGS)

# What is shipped is what is measured.
bench: ## Measure everything beside bare servers and r-nacos, write docs/performance.md (ARGS=--quick for a short one)
	cargo build --profile shipping --locked -p nacre-cli
	-bench/rnacos.sh
	$(PYTHON) bench/run.py $(ARGS)

promises: ## docs/promises.md from what torture, watch, soak, recovery and the benchmarks measured last
	$(PYTHON) tests/torture/run.py promises

clean: ## Remove everything that was built or installed
	cargo clean
