"""Tokens in, tokens out: vocabulary, tokenizers, layouts, the transformer, decoding and the policy server."""
