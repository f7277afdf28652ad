# make demo        the main job, shown in the lab
# make test        everything that CI checks; installs what it needs
# make bench       greyhound beside ip -batch and fping, as ratios in one run
# make deb         a Debian package, in target/debian
# make scenarios   the scenarios alone; ARGS= for a filter, --list or --test-threads
# make scenarios-unit   the same under systemd, each daemon under the unit that is shipped, and what is installed there

.PHONY: bench deb demo test setup scenarios scenarios-unit

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
	vagrant validate --ignore-provider
	cargo test
	$(MAKE) --no-print-directory scenarios
	$(MAKE) --no-print-directory scenarios-unit ARGS=installed

setup:
	integration/setup

demo: setup
	cargo test --quiet --test demo --config "$(LAB)"

bench: setup
	cargo test --quiet --release --test bench --config "$(LAB)"
	cargo test --quiet --release --test bench_probes --config "$(HERE)"

scenarios: setup
	cargo test --test scenarios --config "$(LAB)" -- $(ARGS)

# With two packages, of which one is newer, for the scenarios that install them.
scenarios-unit: setup
	integration/package lab
	cargo test --test scenarios --config "$(LAB_UNIT)" -- $(ARGS)

deb: setup
	integration/package release
