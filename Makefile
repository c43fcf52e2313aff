# The commands that a person types. `make` alone lists them; each says its options after the colon.
.DEFAULT_GOAL := help
.PHONY: help doctor up test test-cache coverage check fmt package docs load publish scan sbom-diff cache lock fuzz mutants reproduce bench chaos new remove-slice clean
export ARGS RELOAD KEEP COVERAGE SCAN_REQUIRE SCAN_INDEX

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

doctor: ## say what this machine lacks, and how to get it
	@exec ops/ci/doctor.sh

up: ## run the whole service on embedded PostgreSQL and Redis (RELOAD=1: restart on change)
	@exec ops/dev/up.sh

test: ## run every test (ARGS=tests/unit:: for some of them)
	@exec ops/ci/test.sh

test-cache: ## test the remote cache against a real server (minutes; `make test` leaves it out)
	@./pants test tests/ops/cache::

coverage: COVERAGE = 1
coverage: test ## run every test and measure: fails below the gates, reports to dist/coverage

check: ## lint, formatting, floors and types
	@./pants tailor --check lint check ::

fmt: ## fix and format the code and BUILD files
	@./pants fix ::

package: ## build the PEX binaries and OCI images into dist/
	@./pants package ::

docs: ## build the documentation as a site (dist/docs) and show it (PORT=8002)
	@./pants run ops/docs/diagrams.py
	@./pants package docs
	@exec "$$(ops/bootstrap/python.sh 3.13)" -m http.server --bind 127.0.0.1 --directory dist/docs $(or $(PORT),8002)

load: ## build the images and load them into Docker or Podman
	@exec ops/images/load.sh

publish: ## push the images (TO=registry.example.com/team TAG=1.2.3) with bills of materials and provenance
	$(if $(TO),,$(error say where to: make publish TO=registry.example.com/team TAG=1.2.3))
	@./pants --oci-images-repositories="$(TO)" --oci-images-tag="$(TAG)" publish ops/images::

scan: ## look for secrets, licences, advisories, replaced Debian packages (ARGS="secrets debian": some)
	@./pants run ops/scan/cli.py -- $(ARGS)

sbom-diff: ## what changed between two releases (OLD=old.cdx.json NEW=new.cdx.json)
	$(if $(and $(OLD),$(NEW)),,$(error name two bills of materials: make sbom-diff OLD=old.cdx.json NEW=new.cdx.json))
	@./pants run ops/scan/sbom_diff.py -- "$(abspath $(OLD))" "$(abspath $(NEW))"

cache: ## serve a cache of builds (REAPI) to other checkouts (LISTEN=127.0.0.1:8980)
	@CACHE_LISTEN=$(or $(LISTEN),127.0.0.1:8980) CACHE_FOLDER=$(CURDIR)/.local/cache \
		./pants run ops/cache:server -- server start $(CURDIR)/ops/cache/server.yml

lock: ## refresh every lock (KEEP=1: only what changed in the manifests)
	@exec ops/locks/refresh.sh

fuzz: ## search for requests whose replies break the API's description (SECONDS=300 for each of its four parts)
	@API_FUZZ_SECONDS=$(or $(SECONDS),300) ./pants test tests/integration/contract:: -- -k replies

mutants: ## alter the code for passwords, tokens and keys, and tell what no unit test notices (minutes)
	@exec ops/mutants/run.sh

reproduce: ## build everything twice, differently, and compare bit for bit
	@exec ops/ci/reproduce.sh

bench: ## measure the API beside a bare program (ARGS="--seconds 3 --rounds 3 --output FILE")
	@./pants run ops/bench/api.py -- $(ARGS)

chaos: ## kill, flush and restart everything under load, and count the jobs (ARGS="--jobs 1000 --times 10")
	@./pants run ops/chaos/run.py -- $(ARGS)

new: ## a repository of your own (NAME=shop INTO=../shop); run again later, it brings updates
	@"$$(ops/bootstrap/python.sh 3.13)" ops/new/rename.py "$(NAME)" $(if $(INTO),"$(INTO)")

remove-slice: ## take an example out of the tree (SLICE=items)
	$(if $(SLICE),,$(error name the slice: make remove-slice SLICE=items))
	@"$$(ops/bootstrap/python.sh 3.13)" -m ops.slices.remove "$(SLICE)"

clean: ## remove build output and the data of `make up`
	rm -rf dist .local .pants.d .pids
