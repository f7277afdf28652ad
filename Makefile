# make demo        the main job, shown in the lab
# make test        everything that CI checks; installs what it needs
# make bench       greyhound beside ip -batch and fping, as ratios in one run
# make scenarios   the scenarios alone; ARGS= for a filter, --list or --test-threads

.PHONY: bench demo test setup scenarios

ARGS ?=
# Cargo builds the scenarios, and runs them by this.
LAB = target.'cfg(all())'.runner = ['$(CURDIR)/integration/lab']
# What needs no GRE, on this kernel.
HERE = target.'cfg(all())'.runner = ['$(CURDIR)/integration/lab', '--here']

test: setup
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --test scenarios --test demo --test bench --test bench_probes -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
	cargo test
	$(MAKE) --no-print-directory scenarios

setup:
	integration/setup

demo: setup
	cargo test --quiet --test demo --config "$(LAB)"

bench: setup
	cargo test --quiet --release --test bench --config "$(LAB)"
	cargo test --quiet --release --test bench_probes --config "$(HERE)"

scenarios: setup
	cargo test --test scenarios --config "$(LAB)" -- $(ARGS)
