# Everything a person does with this repository, by name. `make help` lists it.
# The work is in scripts/; here is only the order.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
# One line on each target for `make help`: the text behind `##`.

.PHONY: help
help: ## List what can be done
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | expand -t 18

.PHONY: run
run: ## Install what is missing, build, and run the demo sale on this box (Ctrl-C stops it)
	@scripts/run.sh

.PHONY: test
test: ## Install what is missing, build, and run the tests that a change must pass
	@scripts/test.sh

.PHONY: test-all
test-all: ## The same, all suites under valgrind, those of the store on PostgreSQL, and the edge's on a newer nginx (an hour and a half)
	@scripts/test.sh rust nginx peer e2e drill postgres valgrind newer

.PHONY: test-rust
test-rust: ## Only the Rust tests
	@scripts/test.sh rust

.PHONY: test-nginx
test-nginx: ## Only the Test::Nginx suites, also against the Lua edge (SUITES=t/gate.t chooses)
	@scripts/test.sh nginx peer

.PHONY: test-valgrind
test-valgrind: ## Every Test::Nginx suite under valgrind: no invalid access, no leak (half an hour)
	@scripts/test.sh valgrind

.PHONY: test-nginx-newer
test-nginx-newer: ## The suites against the newer nginx of the crate nginx-src, built in both ways
	@scripts/test.sh newer

.PHONY: test-postgres
test-postgres: ## The back end's suites with PostgreSQL in place of SQLite, and a shop on it
	@scripts/test.sh postgres

.PHONY: test-upgrade
test-upgrade: ## Upgrade a site under load to this version and take it back, one process at a time (REF=the earlier one)
	@scripts/test-upgrade.sh $(REF)

.PHONY: test-e2e
test-e2e: ## Only the browser tests
	@scripts/test.sh e2e

.PHONY: test-vendure
test-vendure: ## Set up a Vendure shop with a sale in front of it, and buy there in a browser
	@scripts/test-vendure.sh

.PHONY: test-mysql
test-mysql: ## The back end's suites for MariaDB, on a MySQL 8
	@scripts/test-mysql.sh

.PHONY: test-drill
test-drill: ## Only the short drill
	@scripts/test.sh drill

.PHONY: check
check: ## Formatting and lints, without running anything
	@scripts/check.sh

.PHONY: module
module: ## Build the nginx module for Debian's nginx (or NGINX_SOURCE_DIR and NGINX_BUILD_DIR)
	@scripts/module.sh

.PHONY: test-sites
test-sites: ## Run conf/sites on this machine: TLS, hot links, limits, a closed origin
	@scripts/test-sites.sh

.PHONY: test-address
test-address: ## Kill the active one of two balancers in the middle of a race; its address moves (needs root)
	@scripts/test-address.sh

.PHONY: test-monitoring
test-monitoring: ## Check metrics, alert rules and the Grafana board against a running system and Prometheus
	@scripts/test-monitoring.sh

.PHONY: packages
packages: ## Build the Debian packages of the back end and of the module (Debian 12 and 13) into target/packages
	@scripts/packages.sh

.PHONY: test-packages
test-packages: ## Install, upgrade, remove and purge the packages in bare Debians, and sell there (needs root)
	@scripts/test-packages.sh

.PHONY: images
images: ## Build the container images seckill and seckill-edge with podman or docker
	@scripts/images.sh

.PHONY: sbom
sbom: ## List what is in the images (CycloneDX): packages and crates
	@scripts/sbom.sh localhost/seckill seckill target/images/seckill.cdx.json
	@scripts/sbom.sh localhost/seckill-edge seckill-nginx-module target/images/seckill-edge.cdx.json

.PHONY: compose-test
compose-test: ## Run docker/compose.yaml, race buyers through it, kill each container; fail over as compose.full.yaml does (needs root)
	@scripts/test-compose-full.sh && scripts/test-compose.sh

.PHONY: test-edge
test-edge: ## Run what the edge's image starts on this machine: its variables, its log
	@scripts/test-edge.sh

.PHONY: test-kubernetes
test-kubernetes: ## Check the manifests in kubernetes/ offline
	@scripts/test-kubernetes.sh

.PHONY: drill
drill: ## The long drills: a race with the system killed in the middle, outages, random faults (SEED, MINUTES)
	@scripts/drill.sh

.PHONY: bench
bench: bench-edge bench-stock bench-purchase bench-orders bench-captcha bench-board bench-page bench-core bench-journal ## Every benchmark, each into bench/results/NAME.json

.PHONY: bench-edge
bench-edge: ## What the gate costs beside nginx itself and beside the Lua edge
	@bench/edge.sh

.PHONY: bench-stock
bench-stock: ## The stock script beside the ways of selling that were rejected
	@bench/stock.sh

.PHONY: bench-purchase
bench-purchase: ## The purchase role, and a purchase from edge to stock, beside what they cannot cost less than
	@bench/purchase.sh

.PHONY: bench-orders
bench-orders: ## Orders placed into MariaDB beside bare inserts of the same rows
	@bench/orders.sh

.PHONY: bench-captcha
bench-captcha: ## What a puzzle and its verdict cost beside answering at once
	@bench/captcha.sh

.PHONY: bench-board
bench-board: ## What twenty live boards cost the back end, and how soon they know
	@bench/board.sh

.PHONY: bench-page
bench-page: ## Until the product page responds to a tap on a slow phone, beside a page of one file
	@bench/page.sh

.PHONY: bench-journal
bench-journal: ## What the purchase journal takes a second beside the disk's bare syncs
	@bench/journal.sh

.PHONY: bench-years
bench-years: ## A thousand rounds one after another: what is left of them in memory and every second (half an hour)
	@bench/years.sh

.PHONY: bench-core
bench-core: ## The rules of core/, one operation each, beside what they replace
	@bench/core.sh

.PHONY: screenshots
screenshots: ## Take the pictures of README.md anew, of a demo under load
	@scripts/screenshots.sh

.PHONY: clean
clean: ## Remove everything that was built (SECKILL_DATA stays)
	@rm -rf target bench/results t/e2e/node_modules t/e2e/screenshots
