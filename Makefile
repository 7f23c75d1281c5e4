# An index of what can be done here; each line could be typed by hand.

# Where Postfix and its kin are not installed, `make test` says aloud what it skips; here nothing may be skipped.
export PORTCULLIS_TESTS_REQUIRE_PEERS ?= $(if $(CI),1,)

.PHONY: run test test-long lint bench fuzz

# Serves on the built-in defaults, every door on loopback.
run:
	cargo run --locked -p portcullis -- serve

# All tests, against real peers; as root on Debian it installs those that are missing.
test:
	sh tests/peers/install.sh
	cargo test --locked --workspace

# The same with 10,000 drawn sessions.
test-long:
	sh tests/peers/install.sh
	PORTCULLIS_PARITY_SESSIONS=10000 cargo test --locked --workspace

# Format, lints, licences.
lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny --locked check; else echo "SKIPPED cargo deny check: cargo install cargo-deny"; fi

# Side by side with the peers, in one run.
bench:
	sh tests/peers/install.sh
	cargo bench --locked -p portcullis --bench peers

# Each fuzz target for a minute; needs a nightly toolchain or RUSTC_BOOTSTRAP=1, and cargo install cargo-fuzz.
fuzz:
	cd fuzz && for target in $$(cargo fuzz list); do cargo fuzz run $$target -- -max_total_time=60 || exit 1; done
