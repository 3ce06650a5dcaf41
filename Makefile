# chaoskit: what a person types. Each target does the set-up that it needs; a second time that takes less than a second.
#
#   make demo          break a beacon of five members three times, give it stale keys, and judge it
#   make test          everything that CI runs, with seconds per group
#   make setup         all set-up and nothing else
#   make sabotage      each fault with its actuators made to lie in every way: must come out INVALID, never PASS (make test has a part of it)
#   make bench         the figures, as ratios within one run
#   make soak N=10     the suites and the short rows, N times in a row
#   make locks         renew the requirement locks from pyproject.toml (UPGRADE=--upgrade for newer versions)
#
# CHAOSKIT_SETUP=never forbids every change to this host, CHAOSKIT_SETUP=yes answers its questions; CHAOSKIT_CACHE moves what set-up keeps
# (default ~/.cache/chaoskit). Set-up steps run side by side; each is a script under docker/ that says one line.

SHELL := /bin/bash
N ?= 10
UPGRADE ?=
PYTHON := .venv/bin/python
CHAOSKIT := .venv/bin/chaoskit
# Every release that the short rows and suites start.
RELEASES := 3.5.16 3.4.23 3.5.35 3.6.16 3.7.3
# Every release that our beacon node stands in for; the demo needs the first alone, whose members speak TLS.
DEMO_RELEASE := v1.5.8
BEACON_RELEASES := $(DEMO_RELEASE) v2.1.4

# Side by side, and a step that may not be done here (code 3: no engine, and no right to start one) has said what still works.
SIDE_BY_SIDE := $(MAKE) --no-print-directory --jobs=4
UNLESS_NO_ENGINE := || [ $$? -eq 3 ]

.PHONY: help setup setup-demo demo test sabotage bench soak locks packages engine python toxiproxy clock base toys beacon
.DEFAULT_GOAL := help

help:
	@sed -n '3,/^$$/s/^#\( \|$$\)//p' Makefile

setup:
	@$(SIDE_BY_SIDE) python toxiproxy clock $(RELEASES:%=etcd-%) toys beacon nats-2.9.10 nginx-1.22.1

setup-demo:
	@$(SIDE_BY_SIDE) python toxiproxy beacon-$(DEMO_RELEASE)

demo: setup-demo
	@$(CHAOSKIT) demo --release $(DEMO_RELEASE)

test: setup
	@.ci/groups

sabotage: setup
	@$(PYTHON) -m pytest tests/test_sabotage.py tests/test_workload_off.py tests/test_sabotage_tap.py -n 3 --dist loadgroup

bench: setup
	@$(PYTHON) tests/bench.py

soak: setup
	@$(PYTHON) tests/soak.py --times $(N)

locks: python
	@docker/locks.sh $(UPGRADE)

# ---- the steps of set-up

packages:
	@docker/packages.sh

engine: packages
	@docker/engine.sh $(UNLESS_NO_ENGINE)

python: packages
	@docker/python.sh

# Go builds one after the other: they share what they compile, and two cores.
toxiproxy: packages
	@docker/toxiproxy.sh >/dev/null

# A host without a C compiler sets no clocks (code 3), and has been told so.
clock: packages
	@docker/clock.sh >/dev/null $(UNLESS_NO_ENGINE)

base: packages engine
	@docker/image.sh base >/dev/null $(UNLESS_NO_ENGINE)

toys: toys-1 toys-2

toys-%: base
	@docker/image.sh toys $* >/dev/null $(UNLESS_NO_ENGINE)

beacon: $(BEACON_RELEASES:%=beacon-%)

beacon-%: base python
	@docker/image.sh beacon $* >/dev/null $(UNLESS_NO_ENGINE)

nats-%: base
	@docker/image.sh nats $* >/dev/null $(UNLESS_NO_ENGINE)

nginx-%: base
	@docker/image.sh nginx $* >/dev/null $(UNLESS_NO_ENGINE)

etcd-%: base
	@docker/image.sh etcd $* >/dev/null $(UNLESS_NO_ENGINE)

etcd-3.5.35: | toxiproxy
etcd-3.6.16: | etcd-3.5.35
etcd-3.7.3: | etcd-3.6.16
