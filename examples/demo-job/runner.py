# SPDX-License-Identifier: Apache-2.0
"""Stands for the program of a CI runner: has a (made-up) secret in memory, and waits until its stdin
is closed."""
import sys

# Put together here, so that it stands in memory and in no file.
SECRET = "".join(("<demo>", "made-up-", "for-the-", "demo", "</demo>")).encode()
sys.stdin.buffer.read()
