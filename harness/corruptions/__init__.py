"""ImageNet-C and ImageNet-C-bar, generated from an image: the authors' definitions, seeded per sample, fast.

The 15 corruptions of mCE, the 4 extra ones, and the 10 of ImageNet-C-bar, each at 5 severities. A picture's
corrupted pixels depend on its base crop, its sample id, the corruption, the severity and the seed, and on nothing
else. All functions may be called from several threads; the work is done outside the interpreter lock.

`generate` makes them, `registry` holds them, and `names`, which loads nothing that computes, says what they are called.
"""
