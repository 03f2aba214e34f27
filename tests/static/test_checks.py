#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each static check is run on a small tree, first clean and then with one planted violation, which
it must report by file and line. A check that cannot fail is no check."""

import glob
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import checkpatch

HERE = os.path.dirname(os.path.abspath(__file__))
C_LICENCE = "// SPDX-License-Identifier: Apache-2.0\n"
SESSION_LICENCE = "/* SPDX-License-Identifier: GPL-2.0 OR MIT */\n"

CLEAN_TREE = {
    "docs/ARCHITECTURE.md": """# Architecture
## Layers
| folder | holds | may use |
|---|---|---|
| `include/clustix/` | api | nothing |
| `proto/` | schemas | nothing |
| `lib/session/` | protocol | nothing |
| `lib/base/` | helpers | `lib/session/` |
| `lib/io/` | io | `lib/base/` |
| `lib/msg/` | messenger | `lib/io/`, `proto/`, `include/clustix/` |
| `lib/member/` | views | `lib/msg/` |
| `daemon/` | main | everything |
""",
    "docs/DEPENDENCIES.md": "## To build (build)\n| package | why |\n|---|---|\n| `gcc` | compiles |\n",
    ".ci/packages": "# SPDX-License-Identifier: Apache-2.0\nbuild gcc compiles\n",
    "lib/session/types.h": SESSION_LICENCE +
                           "#ifdef __KERNEL__\n#include <linux/types.h>\n#else\n#include <stdint.h>\n#endif\n",
    "lib/session/sum.c": "// SPDX-License-Identifier: GPL-2.0 OR MIT\n" + """#include "types.h"

int kccm_sum(int a, int b);

int kccm_sum(int a, int b)
{
	return a + b;
}
""",
    "Kbuild": "# SPDX-License-Identifier: GPL-2.0\nalways-y := lib/session/sum.o\n",
    "lib/base/id.h": C_LICENCE + '#include "lib/session/types.h"\n',
    "lib/io/uring_io.cc": C_LICENCE + '#include <liburing.h>\n\n#include "lib/base/id.h"\n',
    "lib/io/CMakeLists.txt": "# SPDX-License-Identifier: Apache-2.0\n"
                             "target_link_libraries(clustix_io INTERFACE clustix_base)\n",
    "lib/msg/messenger.cc": C_LICENCE + '#include "lib/base/id.h"\n#include "proto/admin.capnp.h"\n',
    "lib/member/view.cc": C_LICENCE + '#include <vector>\n\n#include "lib/base/id.h"\n',
    "daemon/main.cc": C_LICENCE + '#include <fuse_lowlevel.h>\n\n#include "lib/base/id.h"\n',
    "include/clustix/api.h": C_LICENCE + "#include <string>\n",
}


class Checks(unittest.TestCase):
    tidy_extent = ""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        for path, text in CLEAN_TREE.items():
            self.write(path, text)
        for style in (".clang-format", "lib/session/.clang-format"):
            shutil.copy(os.path.join(HERE, "..", "..", style), os.path.join(self.root, style))

    def write(self, path, text):
        os.makedirs(os.path.dirname(os.path.join(self.root, path)), exist_ok=True)
        with open(os.path.join(self.root, path), "w", encoding="utf-8") as file:
            file.write(text)

    def append(self, path, text):
        with open(os.path.join(self.root, path), "a", encoding="utf-8") as file:
            file.write(text)

    def run_check(self, check, *arguments):
        return subprocess.run(
            [sys.executable, os.path.join(HERE, check + ".py"), "--root", self.root, *arguments],
            capture_output=True, text=True,
            env={**os.environ, "XDG_CACHE_HOME": self.root + "/build/cache", "CLUSTIX_TIDY": self.tidy_extent})

    def assert_clean(self, check, *arguments):
        run = self.run_check(check, *arguments)
        if run.returncode == 77:
            self.skipTest(run.stdout.strip())
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def assert_reports(self, message, check, *arguments):
        run = self.run_check(check, *arguments)
        self.assertEqual(run.returncode, 1, run.stdout + run.stderr)
        self.assertIn(message, run.stdout + run.stderr)

    def test_clean_tree_passes_every_check(self):
        for check in ("layers", "spdx", "words", "dependencies", "format", "freestanding"):
            with self.subTest(check):
                self.assert_clean(check)

    # --- layers
    def test_layers_reports_an_include_of_a_lower_layer(self):
        self.append("lib/base/id.h", '#include "lib/io/io.h"\n')
        self.assert_reports("lib/base/id.h:3: lib/base/ may not use lib/io/", "layers")

    def test_layers_reports_a_sibling_that_the_row_does_not_name(self):
        self.append("lib/io/uring_io.cc", '#include "proto/admin.capnp.h"\n')
        self.assert_reports("lib/io/uring_io.cc:5: lib/io/ may not use proto/", "layers")

    def test_layers_reports_a_table_that_looks_down(self):
        self.write("docs/ARCHITECTURE.md", CLEAN_TREE["docs/ARCHITECTURE.md"].replace(
            "| helpers | `lib/session/` |", "| helpers | `lib/msg/` |"))
        self.assert_reports("lib/base/ may not use lib/msg/, which is not above it", "layers")

    def test_layers_reports_a_folder_without_a_row(self):
        self.write("lib/new/new.cc", C_LICENCE)
        self.assert_reports("lib/new/new.cc:1: this folder has no row", "layers")

    def test_layers_reports_a_linked_target_of_a_lower_layer(self):
        self.append("lib/io/CMakeLists.txt", "target_link_libraries(clustix_io PRIVATE clustix_msg)\n")
        self.assert_reports("lib/io/CMakeLists.txt:3: lib/io/ may not link clustix_msg", "layers")

    def test_layers_reports_libraries_outside_their_home(self):
        self.append("lib/msg/messenger.cc", "#include <liburing.h>\n")
        self.append("lib/base/id.h", "#include <fuse_lowlevel.h>\n")
        self.assert_reports("lib/msg/messenger.cc:4: liburing belongs in", "layers")
        self.assert_reports("lib/base/id.h:3: libfuse belongs in", "layers")

    def test_layers_reports_the_c_library_in_the_session(self):
        self.append("lib/session/sum.c", "#include <string.h>\n")
        self.assert_reports("may not use <string.h>", "layers")

    def test_layers_reports_abseil_in_a_public_header(self):
        self.append("include/clustix/api.h", '#include "absl/status/status.h"\n')
        self.assert_reports("include/clustix/api.h:3: public headers", "layers")

    def test_layers_reports_clocks_and_randomness_in_pure_cores(self):
        self.append("lib/member/view.cc", "auto t = std::chrono::steady_clock::now();\n")
        self.append("lib/session/sum.c", "int f(void) { return rand(); }\n")
        self.assert_reports("lib/member/view.cc:5: a pure core", "layers")
        self.assert_reports("lib/session/sum.c:10: a pure core", "layers")

    def test_layers_lets_a_pure_core_call_what_it_was_handed(self):
        self.append("lib/member/view.cc", "// time() is not read\nauto r = ops->random(8);\n")
        self.assert_clean("layers")

    def test_layers_reports_kernel_versions_outside_compat(self):
        self.append("lib/base/id.h", "#if KERNEL_VERSION(6, 1, 0)\n#endif\n")
        self.assert_reports("lib/base/id.h:3: conditions on the kernel's version", "layers")

    # --- spdx
    def test_spdx_reports_a_missing_line(self):
        self.write("lib/base/bare.cc", "int x;\n")
        self.assert_reports("lib/base/bare.cc:1: wants SPDX-License-Identifier: Apache-2.0", "spdx")

    def test_spdx_reports_the_licence_of_another_folder(self):
        self.write("lib/session/other.c", C_LICENCE)
        self.write("kmod/peer.c", C_LICENCE)
        self.write("include/uapi/kccm.h", SESSION_LICENCE)
        self.assert_reports("lib/session/other.c:1: wants SPDX-License-Identifier: GPL-2.0 OR MIT", "spdx")
        self.assert_reports("kmod/peer.c:1: wants SPDX-License-Identifier: GPL-2.0,", "spdx")
        self.assert_reports("include/uapi/kccm.h:1: wants", "spdx")

    def test_spdx_looks_behind_the_interpreter_line(self):
        self.write("up", "#!/bin/bash\n# SPDX-License-Identifier: Apache-2.0\n")
        self.assert_clean("spdx")
        self.write("up", "#!/bin/bash\necho\n")
        self.assert_reports("up:2: wants", "spdx")

    # --- words
    def test_words_reports_unfinished_work_paths_and_mirrors(self):
        for planted, message in (("// TO" "DO: later\n", "unfinished"),
                                 ('auto p = "/wo' 'rk/x";\n', "one developer's machine"),
                                 ("// from https://deb.exa" "mple.org/x\n", "package mirror"),
                                 ("int x; \n", "blanks")):
            with self.subTest(message):
                self.write("lib/base/planted.cc", C_LICENCE + planted)
                self.assert_reports(message, "words")

    # --- dependencies
    def test_dependencies_reports_what_only_one_side_names(self):
        self.append(".ci/packages", "build cmake configures\n")
        self.append("docs/DEPENDENCIES.md", "| `ninja-build` | builds |\n")
        self.assert_reports("docs/DEPENDENCIES.md: cmake (build) is not explained", "dependencies")
        self.assert_reports(".ci/packages: ninja-build (build) is explained", "dependencies")

    # --- walk
    @unittest.skipUnless(shutil.which("ninja"), "ninja is not installed")
    def test_walk_reports_a_program_that_up_does_not_build(self):
        self.write("up", "build() { :; }\nbuild counter\n")
        self.write("README.md", "    $ build/bin/counter\n")
        self.write("build/build.ninja", "rule cc\n  command = cc -o $out\n"
                   "build bin/counter: cc\nbuild counter: phony bin/counter\nbuild docs/examples/other: cc\n")
        build = "--build", os.path.join(self.root, "build")
        self.assert_clean("walk", *build)
        self.append("README.md", "    $ build/bin/counter & $PWD/build/docs/examples/other 7\n")
        self.assert_reports("README.md:2: ./up does not build docs/examples/other", "walk", *build)

    # --- format
    def test_format_reports_code_laid_out_otherwise(self):
        self.append("lib/base/id.h", "int   x ;\n")
        self.assert_reports("lib/base/id.h:3", "format")

    # --- tidy
    def write_compile_command(self, source):
        self.write("build/compile_commands.json", json.dumps([{
            "directory": self.root, "file": source,
            "command": f"ccache c++ -std=c++20 -I{self.root} -o x.o -c {source}"}]))
        return "--build", os.path.join(self.root, "build")

    @unittest.skipUnless(shutil.which("clang-tidy"), "clang-tidy is not installed")
    def test_tidy_looks_again_when_a_header_of_a_header_changes(self):
        shutil.copy(os.path.join(HERE, "..", "..", ".clang-tidy"), os.path.join(self.root, ".clang-tidy"))
        self.write("lib/base/sum.h", C_LICENCE + '#include "lib/base/one.h"\n')
        self.write("lib/base/one.h", C_LICENCE + "inline int One() { return 1; }\n")
        self.write("lib/base/sum.cc", C_LICENCE + '#include "lib/base/sum.h"\n\nint Two() { return One() + One(); }\n')
        build = self.write_compile_command(os.path.join(self.root, "lib/base/sum.cc"))
        self.assert_clean("tidy", *build)
        self.append("lib/base/one.h", "inline bool Same(int a) { return a == a; }\n")
        self.assert_reports("misc-redundant-expression", "tidy", *build)

    @unittest.skipUnless(shutil.which("clang-tidy"), "clang-tidy is not installed")
    def test_tidy_looks_into_files_that_are_compiled_as_one(self):
        shutil.copy(os.path.join(HERE, "..", "..", ".clang-tidy"), os.path.join(self.root, ".clang-tidy"))
        self.write("tests/.clang-tidy", "---\nInheritParentConfig: true\nChecks: '-modernize-use-override'\n")
        unity = os.path.join(self.root, "build/CMakeFiles/x.dir/Unity/unity_0_cxx.cxx")
        for folder in ("lib/base", "tests/unit"):
            self.write(f"{folder}/head.cc", C_LICENCE + "inline int Head() { return 1; }\n")
            self.write(f"{folder}/tail.cc", C_LICENCE + "int Tail() { return Head(); }\n")
            self.write(os.path.relpath(unity, self.root),
                       "".join(f'#include "{self.root}/{folder}/{name}.cc"\n' for name in ("head", "tail")))
            build = self.write_compile_command(unity)
            self.assert_clean("tidy", *build)
            self.append(f"{folder}/tail.cc", "bool Same(int a) { return a == a; }\n")
            self.assert_reports("misc-redundant-expression", "tidy", *build)

    @unittest.skipUnless(shutil.which("clang-tidy"), "clang-tidy is not installed")
    def test_tidy_looks_at_each_by_itself_when_it_is_told_so(self):
        shutil.copy(os.path.join(HERE, "..", "..", ".clang-tidy"), os.path.join(self.root, ".clang-tidy"))
        null = "int {}(int a) {{\n  int* none = nullptr;\n  return a == 7 ? *none : 0;\n}}\n"
        self.write("tests/.clang-tidy", "---\nInheritParentConfig: true\nChecks: '-clang-analyzer-*'\n")
        self.write("tests/null.cc", C_LICENCE + null.format("Tested"))
        self.write("lib/base/head.cc", C_LICENCE + "inline int Head() { return 1; }\n")
        unity = os.path.join(self.root, "build/CMakeFiles/x.dir/Unity/unity_0_cxx.cxx")
        self.write(os.path.relpath(unity, self.root),
                   "".join(f'#include "{self.root}/{name}"\n' for name in ("lib/base/head.cc", "tests/null.cc")))
        build = self.write_compile_command(unity)
        self.tidy_extent = "each"
        self.assert_clean("tidy", *build)
        self.append("tests/null.cc", "int Tail() { return Head(); }\n")
        self.assert_reports("undeclared identifier 'Head'", "tidy", *build)
        self.write("tests/null.cc", C_LICENCE)
        self.append("lib/base/head.cc", null.format("Null"))
        self.assert_reports("clang-analyzer-core.NullDereference", "tidy", *build)

    # --- freestanding
    def test_freestanding_reports_a_warning_of_the_kernel(self):
        self.append("lib/session/sum.c", "int f(void) { return 0; }\n")
        self.assert_reports("no previous prototype", "freestanding")

    def test_freestanding_reports_a_symbol_from_outside(self):
        self.append("lib/session/sum.c",
                    "int puts(const char *s);\nint f(void);\nint f(void) { return puts(\"\"); }\n")
        self.assert_reports("lib/session: needs puts from outside", "freestanding")

    # --- kernel build
    @unittest.skipUnless(glob.glob("/usr/src/linux-headers-6.1.*-amd64"), "no 6.1 kernel headers")
    def test_kernel_build_reports_what_the_kernel_has_not(self):
        def arguments():
            return ("--build", os.path.join(self.root, "build"), "--headers",
                    "/usr/src/linux-headers-6.1.*-amd64")

        self.assert_clean("kernel_build", *arguments())
        self.append("lib/session/sum.c", "\n#include <stdio.h>\n")
        self.assert_reports("the modules do not build", "kernel_build", *arguments())

    @unittest.skipUnless(glob.glob("/usr/src/linux-headers-6.1.*-amd64") and shutil.which("sparse"),
                         "no 6.1 kernel headers, or no sparse")
    def test_kernel_build_reports_what_sparse_finds(self):
        self.append("lib/session/sum.c", "int peek(int __user *from);\nint peek(int __user *from) { return *from; }\n")
        self.assert_reports("dereference of noderef expression", "kernel_build", "--build",
                            os.path.join(self.root, "build"), "--headers", "/usr/src/linux-headers-6.1.*-amd64")

    def test_kernel_build_reports_a_source_that_kbuild_does_not_name(self):
        self.write("lib/session/more.c", SESSION_LICENCE)
        self.assert_reports("Kbuild: does not build lib/session/more.c", "kernel_build", "--build",
                            os.path.join(self.root, "build"))

    # --- checkpatch
    @unittest.skipUnless(glob.glob(checkpatch.SCRIPTS), "no checkpatch.pl")
    def test_checkpatch_reports_what_is_not_explained(self):
        arguments = ("--scripts", checkpatch.SCRIPTS)
        self.assert_clean("checkpatch", *arguments)
        self.append("lib/session/sum.c", "int f(void)\n{\n\treturn (0);\n}\n")
        self.assert_reports("lib/session/sum.c:12: RETURN_PARENTHESES", "checkpatch", *arguments)


if __name__ == "__main__":
    unittest.main()
