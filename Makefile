# Commands for developers. `make` without a target lists them with their options.
.DEFAULT_GOAL := help
.PHONY: help doctor up venv migration resource seed test test-cache test-nightly watch test-verify repeat coverage check contract clients lint-openapi fmt package docs load publish scan sbom-diff cache lock fuzz mutants signing-key verify attest vex image-diff reproduce bench chaos new update slices remove-slice slices-check clean
export ARGS RELOAD KEEP COVERAGE SCAN_REQUIRE SCAN_INDEX
# The value of a variable as one word of the shell, whatever it contains.
quoted = '$(subst ','\'',$(value $(1)))'
# --NAME='value' if NAME=value is on the command line of make.
option = $(if $(filter command,$(firstword $(origin $(1)))),--$(1)=$(call quoted,$(1)))

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

doctor: ## report missing prerequisites and how to install them
	@exec ops/ci/doctor.sh

up: ## run the whole service with embedded PostgreSQL and Redis (RELOAD=1: restart on code changes)
	@exec ops/dev/python.sh -m ops.dev.up

venv: ## create .venv from the locks, for editors, pytest and the commands (done in no time if nothing changed)
	@exec ops/dev/venv.sh

migration: ## write a migration for changed models (MESSAGE="add colour to items")
	@exec ops/dev/python.sh -m ops.dev.migration $(call quoted,MESSAGE)

seed: ## fill the database of the running `make up` with believable rows (ROWS=1000 SEED=1)
	@exec ops/dev/python.sh -m ops.dev.seed.cli $(call quoted,ROWS) $(call quoted,SEED)

resource: ## add a resource with routes, migration and tests (NAME=order FIELDS="number:str! due:date?"; without them: the types)
	@"$$(ops/build/bootstrap/python.sh 3.13)" -m ops.template.resource.cli $(foreach one,NAME FIELDS PLURAL,$(call quoted,$(one)))

test: ## run all tests (ARGS=tests/unit:: selects some)
	@exec ops/ci/test.sh

test-cache: ## test the remote cache against a real server (takes minutes; not part of `make test`)
	@./pants test tests/ops/ci/cache::

test-verify: ## test signing, rebuilding and attesting with Pants itself (takes minutes; not part of `make test`)
	@./pants test tests/ops/build/plugins/test_verify.py

watch: ## run the unit tests that a saved file affects, at each save (ARGS="tests/unit tests/integration" selects others)
	@exec ops/dev/python.sh -m ops.dev.watch $(ARGS)

test-nightly: ## run the tutorial, and the tests of generated resources (takes minutes; not part of `make test`)
	@./pants --tag=nightly test ::

repeat: ## run tests repeatedly on a busy machine (TIMES=20 ARGS=tests/integration/test_nginx.py)
	$(if $(ARGS),,$(error ARGS is required: make repeat TIMES=20 ARGS=tests/integration/test_nginx.py))
	@"$$(ops/build/bootstrap/python.sh 3.13)" -m ops.ci.repeat --times "$(or $(TIMES),20)" -- $(ARGS)

coverage: COVERAGE = 1
coverage: test ## run all tests with coverage; fails below the thresholds; report in dist/coverage

check: ## check lint, formatting, layers and types
	@./pants tailor --check lint check ::

contract: ## report what changes for callers since the last release (RELEASE=1: take over the description)
	@exec ops/dev/python.sh -m ops.ci.contract.cli $(if $(RELEASE),--release)

clients: ## write the generated parts of the API's clients (clients/)
	@exec ops/dev/python.sh -m ops.ci.openapi.clients

lint-openapi: ## lint the OpenAPI description with Redocly and Spectral
	@exec ops/dev/python.sh -m ops.ci.openapi.lint

fmt: ## fix and format code and BUILD files
	@./pants fix ::

package: ## build the PEX binaries and OCI images into dist/
	@./pants package ::
	@"$$(ops/build/bootstrap/python.sh 3.13)" -m ops.build.oci.wheels dist/*.pex

docs: ## build the documentation site (dist/docs) and serve it (PORT=8002)
	@./pants run ops/ci/docs/diagrams.py
	@./pants package docs
	@exec "$$(ops/build/bootstrap/python.sh 3.13)" -m http.server --bind 127.0.0.1 --directory dist/docs $(or $(PORT),8002)

load: ## build the images and load them into Docker or Podman
	@exec ops/images/load.sh

# Annotations of what is published: the commit, with "-dirty" if files differ from it, and its date.
publish: revision = $(shell git describe --always --dirty --abbrev=40 --exclude='*')
publish: created = $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)
publish: tree = $(shell git rev-parse 'HEAD^{tree}')
publish: ## push the images with SBOMs and provenance (TO=registry.example.com/team TAG=1.2.3 KEY=signing.pem; COMPRESSION=gzip FORCE=1)
	$(if $(TO),,$(error TO is required: make publish TO=registry.example.com/team TAG=1.2.3))
	@./pants --oci-images-repositories="$(TO)" --oci-images-tag="$(TAG)" \
		--oci-images-annotations="+{'org.opencontainers.image.revision': '$(revision)', 'org.opencontainers.image.created': '$(created)'}" \
		--oci-images-source="{'commit': '$(revision)', 'tree': '$(tree)'}" \
		$(if $(KEY),--oci-images-signing-key="$(abspath $(KEY))") $(if $(FORCE),--oci-images-move-tags) \
		$(if $(COMPRESSION),--oci-images-compression="$(COMPRESSION)") publish ops/images::

signing-key: ## create a private key for signing, and the public one beside it (KEY=signing.pem)
	$(if $(KEY),,$(error KEY is required: make signing-key KEY=signing.pem))
	@./pants run ops/build/oci/keys.py -- "$(abspath $(KEY))"

verify: ## verify an image's signatures, SBOM and provenance (IMAGE=registry/name@sha256:... KEY=signing.pub; BUILDER=URI REBUILD=1)
	$(if $(and $(IMAGE),$(KEY)),,$(error IMAGE and KEY are required: make verify IMAGE=registry.example.com/team/api@sha256:... KEY=signing.pub))
	@./pants run ops/build/oci/verify.py -- $(call quoted,IMAGE) $(foreach key,$(KEY),--key="$(abspath $(key))") \
		$(if $(BUILDER),--builder=$(call quoted,BUILDER)) $(if $(REBUILD),--rebuild)

attest: ## build an image again, and sign that it is the same (IMAGE=... KEY=signing.pem BUILDER=URI; COMMIT=... VEX=file)
	$(if $(and $(IMAGE),$(KEY),$(BUILDER)),,$(error IMAGE, KEY and BUILDER are required: make attest IMAGE=registry.example.com/team/api@sha256:... KEY=signing.pem BUILDER=https://builds.example.com))
	@./pants run ops/build/oci/attest.py -- $(call quoted,IMAGE) --key="$(abspath $(KEY))" --builder=$(call quoted,BUILDER) \
		$(if $(COMMIT),--commit=$(call quoted,COMMIT)) $(if $(VEX),--attach="application/vnd.openvex+json=$(abspath $(VEX))")

scan: ## scan for secrets, licences, advisories and outdated Debian packages (ARGS="secrets debian" selects some)
	@./pants run ops/ci/scan/cli.py -- $(ARGS)

sbom-diff: ## compare the SBOMs of two releases (OLD=old.cdx.json NEW=new.cdx.json)
	$(if $(and $(OLD),$(NEW)),,$(error OLD and NEW are required: make sbom-diff OLD=old.cdx.json NEW=new.cdx.json))
	@./pants run ops/ci/scan/sbom_diff.py -- "$(abspath $(OLD))" "$(abspath $(NEW))"

vex: ## state which waived advisories do not affect an image (IMAGE=registry/name@sha256:... OUTPUT=vex.json AUTHOR="Team")
	$(if $(and $(IMAGE),$(OUTPUT),$(AUTHOR)),,$(error IMAGE, OUTPUT and AUTHOR are required: make vex IMAGE=registry.example.com/team/api@sha256:... OUTPUT=vex.json AUTHOR="Team"))
	@./pants run ops/ci/scan/vex.py -- $(call quoted,IMAGE) "$(abspath $(OUTPUT))" --author=$(call quoted,AUTHOR)

image-diff: ## compare images: files, packages, settings, layers (A=dist/api.oci.tar B=registry/name@sha256:...; ARGS=--all)
	$(if $(and $(A),$(B)),,$(error A and B are required: make image-diff A=dist/api.oci.tar B=registry.example.com/team/api:1.2.3))
	@./pants run ops/build/oci/image_diff.py -- $(call quoted,A) $(call quoted,B) $(ARGS)

cache: ## serve a remote build cache (REAPI) for other checkouts (LISTEN=127.0.0.1:8980)
	@CACHE_LISTEN=$(or $(LISTEN),127.0.0.1:8980) CACHE_FOLDER=$(CURDIR)/.local/cache \
		./pants run ops/ci/cache:server -- server start $(CURDIR)/ops/ci/cache/server.yml

lock: ## refresh all lockfiles (KEEP=1: only for changed manifests); or ADD=stripe UPGRADE=jinja2 REMOVE=stripe DEB=redis
	@"$$(ops/build/bootstrap/python.sh 3.13)" -m ops.ci.lock $(foreach one,ADD UPGRADE REMOVE DEB TO,$(call option,$(one))) $(ARGS)

fuzz: ## fuzz the API against its OpenAPI description (SECONDS=300 for each of the four parts)
	@API_FUZZ_SECONDS=$(or $(SECONDS),300) ./pants test tests/integration/contract:: -- -k replies

mutants: ## mutate the security code and report surviving mutants (takes minutes)
	@exec ops/measure/mutants/run.sh

reproduce: ## build everything twice in different environments and compare bit for bit
	@exec ops/ci/reproduce.sh

bench: ## benchmark the API against the baseline (ARGS="--seconds 3 --rounds 3 --output FILE")
	@./pants run ops/measure/bench/api.py -- $(ARGS)

chaos: ## inject faults under load; count jobs and stale reads (ARGS="--jobs 1000 --times 10")
	@./pants run ops/measure/chaos/run.py -- $(ARGS)

new: ## create your own repository (NAME=shop INTO=../shop DESCRIPTION="Sells." PRESET=standard WITHOUT=oidc)
	@"$$(ops/build/bootstrap/python.sh 3.13)" -m ops.template.new.cli $(foreach one,NAME INTO DESCRIPTION WITHOUT PRESET,$(call quoted,$(one)))

update: ## in a repository that the base created: merge the base's changes since the last time (FROM=../base)
	@"$$(ops/build/bootstrap/python.sh 3.13)" -m ops.template.update.merge $(call quoted,FROM)

slices: ## list the removable features: their size, and which of them need each other
	@"$$(ops/build/bootstrap/python.sh 3.13)" -m ops.template.slices.overview

remove-slice: ## remove features from the tree (SLICE=NAME,NAME)
	@"$$(ops/build/bootstrap/python.sh 3.13)" -m ops.template.slices.remove $(call quoted,SLICE)

slices-check: ## prove in scratch copies that the tree works without each slice (SLICE=NAME,NAME; PRESET=minimal)
	@exec ops/template/slices/check.sh $(call quoted,SLICE) $(call quoted,PRESET)

clean: ## remove build output, .venv and the data of `make up`
	rm -rf dist .local .venv .pants.d .pids
