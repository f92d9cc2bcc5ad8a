# SPDX-License-Identifier: Apache-2.0
"""What the package pretends to be for."""


def show():
    print("colours: red green blue")
