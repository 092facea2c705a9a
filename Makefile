# Everything that people do with this repository. Each target does its own set-up, and says what it installs.
# A fresh machine needs Rust and a C compiler.

CARGO_TARGET_DIR ?= $(HOME)/.cache/dixmgr/target
export CARGO_TARGET_DIR

CARGO_DENY = 0.20.2
DEMO_DATA = ./dixmgr-data

# `make install` puts things below $(DESTDIR)$(PREFIX), and configuration below $(DESTDIR)/etc.
PREFIX ?= /usr/local
DESTDIR ?=
UNITDIR ?= $(PREFIX)/lib/systemd/system
# What is installed; a release build unless another is named.
BINARY ?=
CARGO_DEB = 3.8.0
BASH_COMPLETION = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH_COMPLETION = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH_COMPLETION = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
COMPLETIONS = "$(BASH_COMPLETION)" "$(ZSH_COMPLETION)" "$(FISH_COMPLETION)"

.PHONY: install uninstall deb run test build watcher release lint compatibility bench bench-engine fuzz

# The main job on any machine: small supervised processes, one of which crashes now and then. Ctrl-C stops dixmgr; the
# processes end with it, since this is only a demonstration. More flags: make run ARGS="-metrics-port 9190".
run: build
	DIXMGR="$(CURDIR)/bin/dixmgr" ./bin/dixmgr -exec -process-manager direct -conf conf/demo.toml \
		-data-dir $(DEMO_DATA) -process-log-dir $(DEMO_DATA)/log -process-pid-dir $(DEMO_DATA)/run $(ARGS)

# A test whose component is missing fails under CI; elsewhere it is listed at the end, since runners hide what passes.
test: export DIXMGR_SKIPPED = $(CARGO_TARGET_DIR)/skipped-tests
test:
	sh tests/setup.sh
	@mkdir -p "$(CARGO_TARGET_DIR)" && rm -f "$(DIXMGR_SKIPPED)"
	@if cargo nextest --version >/dev/null 2>&1; then \
		cargo nextest run --workspace --no-fail-fast; \
	else \
		cargo test --workspace --no-fail-fast; \
	fi; status=$$?; if [ -s "$(DIXMGR_SKIPPED)" ]; then cat "$(DIXMGR_SKIPPED)"; fi; exit $$status

build:
	cargo build
	@mkdir -p bin
	install -m 755 "$(CARGO_TARGET_DIR)/debug/dixmgr" bin/dixmgr

watcher: build

release:
	cargo build --release
	@mkdir -p bin
	install -m 755 "$(CARGO_TARGET_DIR)/release/dixmgr" bin/dixmgr

# A configuration that is there already is kept. What it made is undone by `make uninstall` with the same words, which keeps
# configuration and state.
install: $(if $(BINARY),,release)
	install -D -m 755 "$(or $(BINARY),bin/dixmgr)" "$(DESTDIR)$(PREFIX)/bin/dixmgr"
	install -d "$(DESTDIR)$(UNITDIR)"
	sed 's,/usr/bin/dixmgr,$(PREFIX)/bin/dixmgr,; s,/usr/share/doc,$(PREFIX)/share/doc,' conf/dixmgr.service \
		> "$(DESTDIR)$(UNITDIR)/dixmgr.service"
	@test -e "$(DESTDIR)/etc/dixmgr/dixmgr.toml" || \
		install -D -m 644 packaging/dixmgr.toml "$(DESTDIR)/etc/dixmgr/dixmgr.toml"
	@test -e "$(DESTDIR)/etc/default/dixmgr" || \
		install -D -m 600 packaging/dixmgr.default "$(DESTDIR)/etc/default/dixmgr"
	install -d "$(DESTDIR)$(PREFIX)/share/doc/dixmgr/examples" "$(DESTDIR)$(PREFIX)/share/dixmgr/prometheus/rules"
	install -m 644 README.md CHANGELOG.md LICENSE docs/*.md "$(DESTDIR)$(PREFIX)/share/doc/dixmgr"
	install -m 644 conf/*.toml "$(DESTDIR)$(PREFIX)/share/doc/dixmgr/examples"
	install -m 644 conf/prometheus/prometheus.yml "$(DESTDIR)$(PREFIX)/share/dixmgr/prometheus"
	install -m 644 conf/prometheus/rules/*.yml "$(DESTDIR)$(PREFIX)/share/dixmgr/prometheus/rules"
	"$(abspath $(or $(BINARY),bin/dixmgr))" man "$(DESTDIR)$(PREFIX)/share/man/man1"
	install -d $(COMPLETIONS)
	"$(abspath $(or $(BINARY),bin/dixmgr))" completion bash > "$(BASH_COMPLETION)/dixmgr"
	"$(abspath $(or $(BINARY),bin/dixmgr))" completion zsh > "$(ZSH_COMPLETION)/_dixmgr"
	"$(abspath $(or $(BINARY),bin/dixmgr))" completion fish > "$(FISH_COMPLETION)/dixmgr.fish"
	cd grafana && find . -type f -exec install -D -m 644 '{}' "$(DESTDIR)$(PREFIX)/share/dixmgr/grafana/{}" \;
	@echo "install: write services into /etc/dixmgr/dixmgr.toml, then: systemctl daemon-reload; systemctl enable --now dixmgr"

uninstall:
	rm -rf "$(DESTDIR)$(PREFIX)/bin/dixmgr" "$(DESTDIR)$(UNITDIR)/dixmgr.service" \
		"$(DESTDIR)$(PREFIX)/share/doc/dixmgr" "$(DESTDIR)$(PREFIX)/share/dixmgr"
	rm -f "$(DESTDIR)$(PREFIX)/share/man/man1/dixmgr.1" "$(DESTDIR)$(PREFIX)/share/man/man1"/dixmgr-*.1 \
		"$(BASH_COMPLETION)/dixmgr" "$(ZSH_COMPLETION)/_dixmgr" "$(FISH_COMPLETION)/dixmgr.fish"

# A Debian package below $(CARGO_TARGET_DIR)/debian.
deb:
	@cargo deb --version 2>/dev/null | grep -q '$(CARGO_DEB)' || { \
		echo "deb: installing cargo-deb $(CARGO_DEB)"; \
		cargo install --quiet --locked --version $(CARGO_DEB) cargo-deb; }
	cargo build --release --locked
	packaging/generate "$(CARGO_TARGET_DIR)/release/dixmgr"
	cargo deb --locked --no-build

# Licences, sources and bans are checked from the lock file alone. The advisory database is fetched from the network, so
# that check is `cargo deny check advisories`, by hand.
lint:
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings
	@cargo deny --version 2>/dev/null | grep -q '$(CARGO_DENY)' || { \
		echo "lint: installing cargo-deny $(CARGO_DENY)"; \
		cargo install --quiet --locked --version $(CARGO_DENY) cargo-deny; }
	cargo fetch --locked --quiet
	cargo deny --offline check bans licenses sources

# Writes the page about the engine's methods anew from their table.
compatibility:
	DIXMGR_WRITE_PAGES=1 cargo test --quiet -p dixmgr-engine --lib the_page_is_what_the_table_says

# The figures of the main job: services watched and restarted.
bench:
	sh tests/setup.sh
	cargo bench --bench figures

# The engine beside Temporal's own server, under the same load.
bench-engine:
	sh tests/setup.sh
	cargo bench --bench engine

# Feeds the parsers and the requests' decoder with bytes from anywhere, each for so many seconds. What it finds is in
# fuzz/artifacts, what it has learnt in fuzz/corpus. No sanitizer: there is no unsafe code to watch, a panic is what counts.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS = list_filter cron_schedule specification requests
CARGO_FUZZ = 0.13.2

fuzz: export CARGO_TARGET_DIR := $(CARGO_TARGET_DIR)/fuzz
fuzz: export RUSTC_BOOTSTRAP = 1
fuzz:
	@cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet --locked --version $(CARGO_FUZZ) cargo-fuzz
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p fuzz/corpus/$$target; \
		cargo fuzz run --sanitizer none $$target fuzz/corpus/$$target fuzz/seeds/$$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=512 -timeout=60 -print_final_stats=1 || exit 1; \
	done
