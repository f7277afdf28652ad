# make demo        the main job, shown in the lab
# make test        everything that CI checks; installs what it needs
# make bench       greyhound beside ip -batch and fping, as ratios in one run
# make deb         a Debian package, in target/debian
# make scenarios   the scenarios alone, daemons under the shipped unit; ARGS= for a filter, --list or --test-threads
# make scenarios-plain   the same, daemons as processes of the scenarios, but for what needs systemd

.PHONY: bench deb demo test setup scenarios scenarios-plain

ARGS ?=
# Cargo builds the scenarios, and runs them by this.
LAB = target.'cfg(all())'.runner = ['$(CURDIR)/integration/lab']
# Under systemd, where each daemon of a scenario runs under the unit that is shipped.
LAB_UNIT = target.'cfg(all())'.runner = ['$(CURDIR)/integration/lab', '--systemd']
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

# Two packages, of which one is newer, for the scenarios that install them.
scenarios: setup
	integration/package dev 1
	integration/package dev 2
	cargo test --test scenarios --config "$(LAB_UNIT)" -- $(ARGS)

scenarios-plain: setup
	cargo test --test scenarios --config "$(LAB)" -- $(ARGS)

deb: setup
	integration/package
