"""The Pulumi program."""

from corral import deploy

deploy()
