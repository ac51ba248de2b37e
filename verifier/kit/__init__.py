"""The offline kit: what a phone needs to check printed certificates without network, and how it is made and used."""
