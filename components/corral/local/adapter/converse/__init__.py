"""Bedrock's Converse.  Shapes are those of botocore's `bedrock-runtime`, 2023-09-30."""
