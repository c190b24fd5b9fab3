"""The public header compiles alone, as C and as C++, with every warning; and the package that C tests carry is what
today's writer writes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from c.make_tiny_package import HEADER, header, packages
from c_build import ROOT, skip_or_fail

USE = """
#include "edgert.h"
int main(void) {
  ert_error error;
  ert_model *model = 0;
  ert_session *session = 0;
  ert_session_options options = {};
  options.threads = 2;
  if (ert_model_open_file("model.ert", &model, &error) == ERT_OK &&
      ert_session_create(model, &options, &session, &error) == ERT_OK) {
    ert_tensor_info info;
    ert_session_tensor(session, ert_model_input(model, 0), &info);
    ert_session_invoke(session, &error);
  }
  ert_session_destroy(session);
  ert_model_close(model);
  return 0;
}
"""


@pytest.mark.parametrize(
    ("compiler", "language", "standard"),
    [
        ("gcc", "c", "c99"),
        ("gcc", "c", "c11"),
        ("clang++", "c++", "c++11"),
        ("clang++", "c++", "c++17"),
        ("clang", "c", "c11"),
    ],
)
def test_the_header_stands_alone(compiler: str, language: str, standard: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        skip_or_fail(f"{compiler} is not installed")
    source = tmp_path / ("use." + ("c" if language == "c" else "cpp"))
    source.write_text(USE if language == "c++" else USE.replace("= {}", "= {0}"))
    command = [compiler, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"]
    done = subprocess.run([*command, f"-I{ROOT}/ext/include", str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_tiny_packages_are_up_to_date() -> None:
    assert HEADER.read_text() == header(packages()), "run: python tests/c/make_tiny_package.py"
