"""Exports that programs outside of this product accept: Open Badges 3.0, VC 2.0, SD-JWT VC, status lists, did:web."""
