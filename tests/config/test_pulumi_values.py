"""The configuration as Pulumi hands it to a program."""

from __future__ import annotations

from corral.config.stack_file import plain_values

TEXTS = {
    "aws:region": "us-east-1",
    "corral:hosts": '{"bedrock": {}}',
    "corral:accept": "[]",
    "corral:engine": "kubernetes",
    "corral:models": '{"llama-3.3-70b": {"shares": {"bedrock": "NEVER"}}}',
    "corral:keys": '{"lab": "NEVER"}',
    "corral:tenantKeys": '{"search": "NEVER"}',
    "other:thing": "1",
}


def test_objects_are_read_texts_stay_and_whatever_is_secret_is_left_out():
    assert plain_values(TEXTS.get, {"corral:models", "corral:keys", "corral:tenantKeys"}.__contains__) == {
        "aws:region": "us-east-1",
        "corral:hosts": {"bedrock": {}},
        "corral:accept": [],
        "corral:engine": "kubernetes",
    }


def test_keys_are_left_out_whatever_pulumi_says_of_them():
    assert not plain_values(TEXTS.get, lambda _: False).keys() & {"corral:keys", "corral:tenantKeys"}
