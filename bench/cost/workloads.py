# SPDX-License-Identifier: Apache-2.0
"""The work that is measured, made here from nothing and without a network.

A workload is a class with a name, `missing()` (what this machine lacks, or ""), `prepare(folder)`
and `command()`. All of them can be run again and again in the same folder.
"""
import base64
import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
import tarfile

from legs import BUILD, HERE

LOOPS = BUILD / "bench" / "cost_loops"


def lacks(*programs):
    return ", ".join(program for program in programs if shutil.which(program) is None)


class Workload:
    name = ""
    about = ""
    programs = ()

    def missing(self):
        return lacks(*self.programs)

    def prepare(self, folder):
        self.folder = folder

    def command(self):
        raise NotImplementedError

    def close(self):
        pass


class ForkExec(Workload):
    name = "fork_exec"
    about = "posix_spawn and wait of /bin/true, 2,000 times"

    def missing(self):
        return "" if LOOPS.exists() else f"{LOOPS} (make build)"

    def command(self):
        return [str(LOOPS), "fork_exec", "2000", "/bin/true"]


class CBuild(Workload):
    """40 files that each read some 30 headers of the system and of their own."""
    name = "c_build"
    about = "make -j2 of 40 generated C files, gcc -O1"
    programs = ("make", "gcc")
    files, headers = 40, 24

    def prepare(self, folder):
        super().prepare(folder)
        for i in range(self.headers):
            body = "\n".join(f"struct part_{i}_{j} {{ int a; long b; char c[{j + 1}]; }};\n"
                             f"int use_{i}_{j}(const struct part_{i}_{j} *part);"
                             for j in range(20))
            (folder / f"part{i}.h").write_text(f"#ifndef P{i}\n#define P{i}\n{body}\n#endif\n")
        system = ("stdio stdlib string stdint errno unistd fcntl time math signal pthread "
                  "sys/stat sys/types sys/socket netinet/in").split()
        for i in range(self.files):
            (folder / f"unit{i}.c").write_text(self.unit(i, system))
        objects = " ".join(f"unit{i}.o" for i in range(self.files))
        (folder / "main.c").write_text("int unit_0_0(int, int);\n"
                                       "int main(void) { return unit_0_0(1, 2) == 7777; }\n")
        (folder / "Makefile").write_text(
            f"CC = gcc\nCFLAGS = -O1 -g\nall: app\napp: main.o {objects}\n"
            "\t$(CC) -o $@ $^ -lm\nclean:\n\trm -f *.o app\n")

    def unit(self, number, system):
        dice = random.Random(number)
        lines = [f"#include <{name}.h>" for name in system]
        lines += [f'#include "part{i}.h"' for i in range(self.headers)]
        for i in range(18):
            a, b, c = (dice.randrange(3, 99) for _ in range(3))
            lines.append(
                f"int unit_{number}_{i}(int x, int y) {{\n  int sum = {a}, table[{b}];\n"
                f"  for (int k = 0; k < {b}; k++) table[k] = (x ^ k) * {c} + y;\n"
                f"  for (int k = 0; k < {b}; k++) {{\n    if (table[k] % {a} == 1) sum += table[k];\n"
                f"    else sum ^= (int)strlen(\"text {i}\") + k;\n  }}\n"
                f"  if (sum == {c}) printf(\"%d\\n\", sum);\n  return sum;\n}}")
        return "\n".join(lines) + "\n"

    def command(self):
        return ["/bin/sh", "-c", "make -s clean && exec make -s -j2"]


class NpmInstall(Workload):
    """200 packages with 10 files each, from a registry on loopback, with an empty cache."""
    name = "npm_install"
    about = "npm install of 200 packages with 2,400 files from a registry on loopback"
    programs = ("npm", "node")
    packages, files = 200, 10
    registry = None

    def prepare(self, folder):
        super().prepare(folder)
        served = folder / "served"
        served.mkdir(exist_ok=True)
        for i in range(self.packages):
            self.pack(served, i)
        app = folder / "app"
        app.mkdir(exist_ok=True)
        wanted = {f"cost-pkg-{i}": "1.0.0" for i in range(0, self.packages, 4)}
        (app / "package.json").write_text(json.dumps(
            {"name": "cost-app", "version": "1.0.0", "private": True, "dependencies": wanted}))
        self.registry = subprocess.Popen([sys.executable, str(HERE / "registry.py"), str(served)],
                                         stdout=subprocess.PIPE, text=True)
        self.port = int(self.registry.stdout.readline())

    def pack(self, served, number):
        name = f"cost-pkg-{number}"
        last = number % 4 == 3
        needs = {} if last else {f"cost-pkg-{number + 1}": "^1.0.0"}
        package = {"name": name, "version": "1.0.0", "main": "index.js", "dependencies": needs}
        files = {"package.json": json.dumps(package), "README.md": f"# {name}\n" * 20}
        for i in range(self.files):
            text = f"exports.f{i} = (x) => x * {i} + {number};\n" * (20 + i * 10)
            files["index.js" if i == 0 else f"lib/part{i}.js"] = text
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for path, text in files.items():
                entry = tarfile.TarInfo(f"package/{path}")
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text.encode()))
        digest = base64.b64encode(hashlib.sha512(packed.getvalue()).digest()).decode()
        (served / f"{name}.tgz").write_bytes(packed.getvalue())
        (served / f"{name}.json").write_text(
            json.dumps({**package, "integrity": f"sha512-{digest}"}))

    def command(self):
        install = (f"rm -rf node_modules package-lock.json ../cache && exec npm install --silent "
                   f"--registry http://127.0.0.1:{self.port}/ --cache ../cache "
                   "--no-audit --no-fund --no-update-notifier --userconfig /dev/null")
        return ["/bin/sh", "-c", f"cd app && {install}"]

    def close(self):
        if self.registry is None:
            return
        self.registry.kill()
        self.registry.wait()
        self.registry.stdout.close()


class GitClone(Workload):
    name = "git_clone"
    about = "git clone, through a pack, of a repository with 3,000 commits and 8,000 files"
    programs = ("git",)
    commits, files = 3000, 8000

    def prepare(self, folder):
        super().prepare(folder)
        if (folder / "origin").exists():
            return
        subprocess.run(["git", "init", "-q", "--bare", str(folder / "origin")], check=True)
        subprocess.run(["git", "-C", str(folder / "origin"), "fast-import", "--quiet"], check=True,
                       input=self.history().encode())
        subprocess.run(["git", "-C", str(folder / "origin"), "repack", "-adq"], check=True)

    def history(self):
        dice, lines = random.Random(7), []
        for commit in range(self.commits):
            lines.append("commit refs/heads/master\ncommitter A <a@invalid> "
                         f"{1_600_000_000 + commit * 60} +0000\ndata 6\nchange")
            for i in self.changed(commit, dice):
                text = f"line of file {i}\n" * (20 + (i + commit) % 60)
                lines.append(f"M 100644 inline dir{i % 60}/file{i}.txt\ndata {len(text)}\n{text}")
        return "\n".join(lines) + "\n"

    def changed(self, commit, dice):
        if commit < self.files // 20:
            return range(commit * 20, commit * 20 + 20)
        return [dice.randrange(self.files) for _ in range(4)]

    def command(self):
        return ["/bin/sh", "-c", "rm -rf clone && git clone -q --no-local origin clone"]


class Tree(Workload):
    """A tree of 100,000 small files, made once for all of its kind."""
    count = 100_000

    def prepare(self, folder):
        super().prepare(folder)
        self.tree = folder.parent / "tree"
        if (self.tree / "done").exists():
            return
        for i in range(self.count):
            if i % 500 == 0:
                below = self.tree / f"d{i // 10_000}" / f"e{i // 500 % 20}"
                below.mkdir(parents=True, exist_ok=True)
            (below / f"file{i}.txt").write_text(f"this is number {i}\n" * 8)
        (self.tree / "done").write_text("")


class FindRead(Tree):
    name = "find_read"
    about = "find and cat of 100,000 files of 200 bytes, warm cache"
    programs = ("find", "cat")

    def command(self):
        return ["find", str(self.tree), "-type", "f", "-exec", "cat", "{}", "+"]


class Grep(Tree):
    name = "grep"
    about = "grep -r over the same 100,000 files"
    programs = ("grep",)

    def command(self):
        return ["/bin/sh", "-c", f"! grep -r no-such-words '{self.tree}'"]


WORKLOADS = [CBuild, NpmInstall, GitClone, FindRead, ForkExec, Grep]
