# Every target works on a fresh machine that has Rust: redis-server is found or fetched by scripts/get-redis.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo run test clients conformance bench benchmarks soak torture simulate commands vectors fmt servers cargo

# Where rustup puts cargo, for shells that have not read its env file yet.
export PATH := $(PATH):$(HOME)/.cargo/bin

# How many operations `make soak` runs.
OPS ?= 2000000

# For how many minutes `make torture` does harm: it takes about a tenth longer, and three minutes for the other systems. SEED, where it is
# given, is the first one.
MINUTES ?= 10

# How many seeds `make simulate` runs, and from which on.
SEEDS ?= 20000
SEED ?= 1

# `$(call with_redis,COMMAND)` runs a command that finds a server's program in ANARCHO_REDIS_SERVER.
with_redis = server=$$(scripts/get-redis) && ANARCHO_REDIS_SERVER="$$server" $(1)

help: ## Say what there is to make
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1	\2/p' Makefile | expand -t 18

# Which coordinators of other languages `make test` runs: --present or --all.
LANGUAGES ?= --present

# `$(call with_languages,WHICH,COMMAND)`: the same with the languages that scripts/get-languages prepares.
with_languages = languages=$$(scripts/get-languages $(1)) && $(call with_redis,ANARCHO_LANGUAGES="$$languages" $(2))

demo: cargo ## Three real nodes: kill one, hang one, empty one, and count what was lost (nothing)
	@$(call with_redis,cargo run --release --example demo)

run: cargo ## Start three local nodes, a healer and a proxy, print the redis-cli line and leave them running until Ctrl-C
	@$(call with_redis,cargo run --release --example run_nodes)

test: cargo servers ## Everything that must hold before a commit: format, lints, tests, docs
	cargo fmt --all -- --check
	cargo clippy --locked --all-targets -- -D warnings
	$(call with_redis,scripts/run-tests)
	$(call with_languages,$(LANGUAGES),cargo test --locked --test conformance every_language -- --nocapture)
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

clients: cargo servers ## redis-py, ioredis, node-redis, redis-cli and redis-benchmark on a proxy; needs Python, Node and redis-tools
	clients=$$(scripts/get-clients) && $(call with_redis,ANARCHO_CLIENTS="$$clients" cargo test --locked --test proxy_clients -- --nocapture --test-threads 1)

conformance: cargo servers ## Coordinators in Python, Node and Go: the vectors, then all together and Rust on the same keys under node kills
	$(call with_languages,--all,cargo test --locked --test conformance -- --nocapture --test-threads 1)

bench: cargo ## Throughput and latency next to plain Redis, WAIT and etcd, with a node down too; writes BENCHMARKS.md in some ten minutes
	$(call with_redis,cargo bench --bench throughput -- --write)

benchmarks: cargo ## The other ones, which have no part in that page: memory, healing, the proxy, large values
	$(call with_redis,cargo bench --bench memory --bench heal --bench proxy --bench large)

soak: cargo servers ## A long random run under faults: make soak OPS=2000000
	$(call with_redis,ANARCHO_SOAK_OPS=$(OPS) cargo test --release --test soak -- --nocapture)

torture: cargo servers ## Real faults of every kind on real servers, next to Sentinel and a naive coordinator: make torture MINUTES=10
	$(call with_redis,ANARCHO_TORTURE_MINUTES=$(MINUTES) $(if $(filter command environment,$(firstword $(origin SEED))),ANARCHO_SEED=$(SEED)) scripts/with-mounts cargo test --release --test torture nothing_is_lost -- --nocapture)

simulate: cargo ## Random schedules of the whole system in virtual time, on all cores: make simulate SEEDS=20000 SEED=1
	ANARCHO_SEEDS=$(SEEDS) ANARCHO_SEED=$(SEED) cargo test --release --test simulation no_schedule -- --nocapture

commands: cargo servers ## Write COMMANDS.md anew, from the code and the servers' own lists
	$(call with_redis,ANARCHO_WRITE_COMMANDS=1 cargo test --locked --test commands the_page_is)

vectors: cargo servers ## Write lua/vectors anew, from tests/vectors/cases and what a server answers
	$(call with_redis,ANARCHO_WRITE_VECTORS=1 cargo test --locked --test vectors the_files_are)

fmt: cargo ## Format the code
	cargo fmt --all

# The four server versions that the tests run against.
servers:
	@scripts/get-redis --all >/dev/null

cargo:
	@command -v cargo >/dev/null || { \
	  echo "cargo is missing: install Rust 1.88 or newer (rustup.rs, or your system's package), then try again" >&2; exit 1; }
	@command -v cc >/dev/null || { \
	  echo "a C compiler is missing (Rust links with cc): install gcc or clang, e.g. apt-get install gcc" >&2; exit 1; }
