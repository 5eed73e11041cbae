# The commands of this project. `make help` lists them.

CARGO ?= cargo
NPM ?= npm
MVN ?= mvn
# Arguments of `make demo` and of `make bench-instructions`, as in: make demo ARGS="--https 0.0.0.0:443"
ARGS ?=
# Where `make install` puts programs.
PREFIX ?= $(HOME)/.local
# What `make bench-sfu` measures. The servers get the second core, the load the others.
SFU_ARGS ?= --target salono --target janus --target janus-loops --target floor --server-cores 1 \
	--scenario one-to-many --subscribers 50,200,400,1000 --scenario rooms --scenario audio --out $(target)/sfu.md

client := clients/js
client_sources := $(wildcard $(client)/src/*.ts) $(client)/build.mjs $(client)/tsconfig.json $(client)/tsconfig.build.json
client_modules := $(client)/node_modules/.package-lock.json
# What cargo embeds into the program: made by one command, dated by the first.
bundle := demo/static/js/salono-client.js
bundles := $(bundle) demo/static/js/KurentoRoom.js
# The clients of Kurento 7 and 6, apart from each other.
e2e_modules := e2e/node_modules/.package-lock.json e2e/kurento-6/node_modules/.package-lock.json
# Firefox is tested where it is installed.
firefox := $(or $(FIREFOX),$(shell command -v firefox-esr))
e2e_modules += $(if $(firefox),e2e/firefox/node_modules/.package-lock.json)
# The versions of Kurento's Java client that a program is built with.
java_versions := 7.2.0 6.18.0
java_programs := $(java_versions:%=e2e/java/target/%/foreign.jar) e2e/room-java/target/room.jar e2e/room-kotlin/target/room.jar
# Shell commands that put a Node.js and an npm before PATH that the end-to-end tests can use.
node_for_tests = found=$$(scripts/node-for-tests.sh $(target)/node) && export PATH="$$found:$$PATH"
npm_ci := $(NPM) ci --no-audit --no-fund --loglevel=error

# The program carries OpenSSL in itself, if the system has the static library. What finds libraries
# for cargo takes none from below /usr statically, unless it is told where.
openssl_dir := $(shell pkg-config --variable=libdir openssl 2>/dev/null)
static_openssl := $(if $(wildcard $(openssl_dir)/libssl.a),OPENSSL_STATIC=1 OPENSSL_LIB_DIR=$(openssl_dir) \
	OPENSSL_INCLUDE_DIR=$(shell pkg-config --variable=includedir openssl))

# Where cargo puts what it builds, also when CARGO_TARGET_DIR says otherwise.
target := $(or $(CARGO_TARGET_DIR),target)

# Makes the book. Installed beside what is built.
mdbook_version := 0.5.4
mdbook := $(target)/tools/bin/mdbook

.DEFAULT_GOAL := help
.PHONY: help demo build js deps test-deps test format lint test-rust test-js test-e2e \
	bench-startup bench-join bench-floor bench-leak bench-memory bench-instructions bench-peers bench-sfu \
	book deb install uninstall clean

help: ## lists these commands
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

demo: build ## installs what is missing, builds, and serves calls on https://localhost:8443
	@exec $(target)/release/salono serve $(ARGS)

build: deps js ## builds the programs: target/release/salono and salono-processor
	$(static_openssl) $(CARGO) build --release --locked -p salono -p salono-media-gst

js: $(bundle) ## builds the JavaScript client, which the program embeds

$(bundle): $(client_modules) $(client_sources)
	cd $(client) && $(NPM) run --silent build
	@touch $(bundles)

$(client_modules): $(client)/package-lock.json | deps
	cd $(client) && $(npm_ci)
	@touch $@

deps:
	@scripts/install-deps.sh build

test-deps:
	@scripts/install-deps.sh test

test: test-deps ## everything that continuous integration checks
	$(MAKE) format
	$(MAKE) js
	$(MAKE) lint
	$(MAKE) test-rust
	$(MAKE) test-js
	$(MAKE) book
	$(MAKE) test-e2e

format: ## checks the formatting
	$(CARGO) fmt --all --check

lint: js ## clippy, warnings are errors
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

test-rust: js ## all Rust tests
	$(CARGO) build --locked -p salono-media-gst
	$(CARGO) test --workspace --locked --no-fail-fast

test-js: $(client_modules) ## tests of the JavaScript client and of the page
	cd $(client) && $(NPM) test

test-e2e: js $(e2e_modules) $(java_programs) ## real browsers and other people's clients against the real program
	$(CARGO) build --locked -p salono -p salono-media-gst -p salono-examples -p salono-own-rooms -p salono-sip-bridge -p salono-room-test \
		-p salono-room-client-ffi -p salono-colour-detector
	$(node_for_tests) && cd e2e && SALONO_BIN=$(abspath $(target))/debug/salono $(NPM) test
	$(if $(firefox),$(node_for_tests) && cd e2e && SALONO_BIN=$(abspath $(target))/debug/salono FIREFOX=$(firefox) $(NPM) run firefox)

$(e2e_modules): %/node_modules/.package-lock.json: %/package-lock.json e2e/reconnect-ws/index.js
	@echo "installing what the tests in $* need"
	$(node_for_tests) && cd $* && $(npm_ci)
	@touch $@

e2e/java/target/%/foreign.jar: e2e/java/pom.xml $(wildcard e2e/java/src/main/java/*.java)
	@echo "building a program with version $* of Kurento's Java client"
	cd e2e/java && $(MVN) -B -ntp -Dkurento=$* package
	@touch $@

e2e/room-java/target/room.jar: e2e/room-java/pom.xml $(wildcard e2e/room-java/src/main/java/*.java)
	@echo "building a program with Kurento Room's Java client"
	cd e2e/room-java && $(MVN) -B -ntp package
	@touch $@

e2e/room-kotlin/target/room.jar: e2e/room-kotlin/pom.xml $(wildcard e2e/room-kotlin/src/main/kotlin/*.kt) \
		$(wildcard clients/android/src/main/kotlin/salono/room/*.kt clients/android/sample/*.kt)
	@echo "building a program with the Kotlin client"
	cd e2e/room-kotlin && $(MVN) -B -ntp package
	@touch $@

bench-startup: build ## time from start to listening, idle memory
	$(target)/release/salono bench startup

bench-floor: build ## the least that forwarding a packet can cost here
	$(target)/release/salono bench floor

bench-join: build ## time from entering a room to the first picture
	$(target)/release/salono bench join

bench-leak: build ## whether endpoints leave anything behind, what each costs
	$(target)/release/salono bench leak

bench-memory: build ## what one endpoint takes of the memory, idle and receiving
	$(target)/release/salono bench memory

bench-instructions: test-deps ## instructions per forwarded packet, against the baseline
	$(static_openssl) $(CARGO) run --release --locked -p salono-bench --bin instructions -- $(ARGS)

bench-peers: ## installs and configures what bench-sfu compares with; starts nothing
	scripts/bench-peers.sh $(target)/peers

bench-sfu: build ## forwarding beside Janus and the floor: docs/performance.md
	$(target)/release/salono bench sfu $(SFU_ARGS)

book: $(mdbook) ## the documentation as a book: target/book/index.html
	$(mdbook) build docs --dest-dir $(abspath $(target))/book

$(mdbook):
	@echo "installing mdbook $(mdbook_version), which makes the book"
	$(CARGO) install mdbook --version $(mdbook_version) --locked --no-default-features --features search --debug --root $(target)/tools

deb: build ## makes a Debian package with a service: target/deb/salono_*.deb
	scripts/make-deb.sh $(target)/release $(target)/deb

install: build ## installs the programs for you alone, in ~/.local/bin, or below PREFIX
	install -D -m 755 -t $(PREFIX)/bin $(target)/release/salono $(target)/release/salono-processor

uninstall: ## removes them; what they kept stays in ~/.local/share/salono
	rm -f $(PREFIX)/bin/salono $(PREFIX)/bin/salono-processor

clean: ## removes what was built
	$(CARGO) clean
	rm -rf $(client)/dist $(client)/build $(client)/node_modules e2e/node_modules e2e/kurento-6/node_modules e2e/firefox/node_modules e2e/java/target e2e/room-java/target e2e/room-kotlin/target $(bundles)
