# `make` lists what there is. The environments are made by pip alone, on Python 3.11 or newer (PYTHON=... names another).
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo dev test test-full lint types imports test-runtime test-export test-optimum test-openvino test-webgpu test-lowest test-install test-arm test-haswell bench-engine bench-sampling bench-images bench-start bench-quality bench-models bench-providers bench-workflow tiny-model ship-tiny-model compatibility templates verify-templates wheel constraints clean
.NOTPARALLEL:
# A folder called onnxflow/ lies here: with this set, `python -m ...` still finds the installed package.
export PYTHONSAFEPATH := 1
# Tests that need what only one environment has.
OTHERS := --ignore=tests/export --ignore=tests/export_optimum --ignore=tests/openvino --ignore=tests/webgpu

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16

demo: .venv/linked ## draw workflows/txt2img.json and say where the picture is
	@scripts/demo .venv/bin/onnxflow

test: lint types imports test-runtime test-export ## everything that must pass, in under 15 minutes

test-full: lint types imports ## make test, the slow tests, and test-optimum, -openvino, -webgpu, -lowest, -install, -arm, -haswell: over an hour
	@$(MAKE) --no-print-directory test-runtime test-export PYTEST_FLAGS="-m ''"
	@$(MAKE) --no-print-directory test-optimum test-openvino test-webgpu test-lowest test-install test-arm test-haswell

lint: .venv-test/ready ## style and likely mistakes (ruff)
	.venv-test/bin/ruff check --output-format concise .
	.venv-test/bin/ruff format --check .

types: .venv-test/linked ## types, under the installed names (mypy --strict)
	scripts/types .venv-test

imports: .venv-test/linked ## who may import whom (import-linter; tests/arch has the rest)
	scripts/imports .venv-test

test-runtime: .venv-test/linked ## the tests of the runtime, where PyTorch is not installed
	.venv-test/bin/pytest $(OTHERS) $(PYTEST_FLAGS)

test-export: .venv-export/linked ## the tests of the exporters, with PyTorch
	.venv-export/bin/pytest tests/export tests/arch/test_no_torch_at_run_time.py $(PYTEST_FLAGS)

test-optimum: .venv-optimum/linked ## the tests of the other export engine, with Hugging Face Optimum and PyTorch
	.venv-optimum/bin/pytest tests/export_optimum $(PYTEST_FLAGS)

test-openvino: .venv-openvino/linked .cache/tiny-checkpoint ## the tests with ONNX Runtime's OpenVINO build (x86-64: Linux, Windows)
	.venv-openvino/bin/pytest tests/openvino $(PYTEST_FLAGS)

test-webgpu: .venv-webgpu/linked .cache/tiny-checkpoint ## the tests with the WebGPU plug-in, over a Vulkan driver on the CPU (root, Debian on x86-64)
	scripts/test-webgpu .venv-webgpu $(PYTEST_FLAGS)

test-lowest: .venv-lowest/linked ## the tests of the runtime with the oldest versions it admits
	.venv-lowest/bin/pytest $(OTHERS) $(PYTEST_FLAGS)

test-install: .venv-test/ready ## install the built wheels in empty environments and draw with them (Linux on x86-64)
	scripts/test-install .venv-test

test-arm: .venv-test/linked .venv-export/linked ## draw the demo picture, and run a checkpoint, as a Raspberry Pi would, with real ARM wheels (Debian on x86-64)
	scripts/test-arm .venv-test .venv-export

test-haswell: .venv-test/linked ## draw in int8 on an emulated processor without VNNI (Debian on x86-64)
	scripts/test-haswell .venv-test

ship-tiny-model: .venv-test/linked ## put what tiny-model made into the package
	scripts/ship-tiny-model build/tiny-model

compatibility: .venv-test/linked ## write docs/compatibility.md from the node catalog
	.venv-test/bin/python scripts/compatibility.py docs/compatibility.md

bench-engine: .venv-test/linked ## what the engine costs a node
	.venv-test/bin/python tests/bench/engine.py

bench-workflow: .venv-test/linked ## what reading a workflow of 10,000 and of 100,000 nodes costs, and checking it
	.venv-test/bin/python tests/bench/workflow.py

bench-sampling: .venv-test/linked ## what sampling costs outside the network
	.venv-test/bin/python tests/bench/sampling.py

bench-images: .venv-export/linked ## operations on 2048x2048 pictures beside PyTorch (BENCH=blur for some of them)
	PYTHONPATH=tests/bench .venv-export/bin/python -m images $(BENCH)

bench-start: .venv-test/linked ## seconds and memory from the start of the process to the picture
	.venv-test/bin/python tests/bench/start.py

bench-quality: .venv-test/linked ## what the embedded model draws right, in every precision (minutes)
	.venv-test/bin/python tests/bench/quality.py

bench-models: .venv-export/linked ## a denoiser of SD1.5's size in every precision beside PyTorch (an hour, 12 GB)
	.venv-export/bin/python tests/bench/models.py
	.venv-export/bin/python tests/bench/checkpoints.py

bench-providers: .venv-openvino/linked ## the CPU and OpenVINO side by side, and what placing costs (BENCH="--model FOLDER")
	.venv-openvino/bin/python tests/bench/providers.py $(BENCH)

tiny-model: .venv-export/linked ## train the embedded model anew (hours; resumes where it stopped)
	OMP_WAIT_POLICY=passive .venv-export/bin/python -m onnxflow.export.tiny_model

templates: .venv-export/linked ## write the graphs without weights that checkpoints run in (10 minutes)
	.venv-export/bin/python -m onnxflow.export.templates onnxflow/models/templates

verify-templates: .venv-export/linked ## compare every template of real size with PyTorch once (BENCH="sd1-unet ..." for some; 16 GB)
	.venv-export/bin/python -m onnxflow.export.verify_templates $(BENCH)

wheel: .venv-test/ready ## build all wheels into dist/: onnxflow-core, onnxflow, onnxflow-cuda, -directml, -openvino
	scripts/wheel .venv-test dist

dev: .venv-test/linked .venv-export/linked ## make both environments and link every source file into them

constraints: ## choose the exact versions in constraints/ anew
	scripts/freeze-constraints

clean: ## remove what make built, environments and caches included
	rm -rf .venv .venv-test .venv-export .venv-optimum .venv-openvino .venv-webgpu .venv-lowest .cache build dist *.egg-info distributions/*/build distributions/*/*.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.venv/ready: pyproject.toml constraints/runtime.txt scripts/environment
	scripts/environment .venv constraints/runtime.txt cpu
	@touch $@

.venv-test/ready: pyproject.toml constraints/runtime.txt constraints/test.txt scripts/environment
	scripts/environment .venv-test constraints/test.txt cpu,test,check
	@touch $@

.venv-export/ready: pyproject.toml constraints/runtime.txt constraints/test.txt constraints/export.txt scripts/environment
	scripts/environment .venv-export constraints/export.txt export,test
	@touch $@

.venv-optimum/ready: pyproject.toml constraints/runtime.txt constraints/test.txt constraints/optimum.txt scripts/environment
	scripts/environment .venv-optimum constraints/optimum.txt optimum,test
	@touch $@

.venv-webgpu/ready: pyproject.toml constraints/runtime.txt constraints/test.txt constraints/webgpu.txt scripts/environment
	scripts/environment .venv-webgpu constraints/webgpu.txt cpu,webgpu,test
	@touch $@

.venv-openvino/ready: pyproject.toml constraints/runtime.txt constraints/test.txt constraints/openvino.txt scripts/environment
	scripts/environment .venv-openvino constraints/openvino.txt openvino,test
	@touch $@

.venv-lowest/ready: pyproject.toml constraints/lowest.txt scripts/environment
	scripts/environment .venv-lowest constraints/lowest.txt cpu,test
	@touch $@

# A checkpoint, and graphs of its shape, for environments that could not make one.
.cache/tiny-checkpoint: .venv-export/linked
	@rm -rf $@
	@mkdir -p $@
	@.venv-export/bin/python scripts/tiny_checkpoint.py make $@

# Never a file: what the tests see is linked anew every time.
.PHONY: .cache/tiny-checkpoint .venv/linked .venv-test/linked .venv-export/linked .venv-optimum/linked .venv-openvino/linked .venv-webgpu/linked .venv-lowest/linked
.venv/linked: .venv/ready
	@scripts/link .venv

.venv-test/linked: .venv-test/ready
	@scripts/link .venv-test

.venv-export/linked: .venv-export/ready
	@scripts/link .venv-export

.venv-optimum/linked: .venv-optimum/ready
	@scripts/link .venv-optimum

.venv-webgpu/linked: .venv-webgpu/ready
	@scripts/link .venv-webgpu

.venv-openvino/linked: .venv-openvino/ready
	@scripts/link .venv-openvino

.venv-lowest/linked: .venv-lowest/ready
	@scripts/link .venv-lowest
