"""Many runs: axes crossed to cells, cells run on one machine or a Ray cluster, one table of what came out."""
