"""The command line: pachctl's verbs and nouns against a Trunkline server."""
