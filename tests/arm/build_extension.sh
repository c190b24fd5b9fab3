#!/bin/bash
# Cross-compiles the Python package for 64-bit ARM, to measure or to try it under qemu-user.
# usage: build_extension.sh DIR   -> DIR/site/edgert, to be put on the PYTHONPATH of an arm64 Python 3.11 or later
# Needs aarch64-linux-gnu-gcc, and a Python with setuptools, Cython and its headers ($PYTHON, else python3). The
# extension keeps to the Limited API, and Python's headers say nothing of the architecture that 64-bit Linux disagrees on.
set -euo pipefail
dir=$(readlink -m "$1")
mkdir -p "$dir/build"
cd "$(dirname "$(readlink -f "$0")")/../.."
export EDGERT_ARCH=aarch64 CC=aarch64-linux-gnu-gcc LDSHARED="aarch64-linux-gnu-gcc -shared"
# The build has a folder of its own: it never touches an extension that was built in place for this machine.
"${PYTHON:-python3}" setup.py -q egg_info --egg-base "$dir/build" build --build-base "$dir/build" --build-lib "$dir/site" --build-temp "$dir/build/temp"
echo "$dir/site"
