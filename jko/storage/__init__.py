"""Saved runs, without pickle, so that reading one never runs code.

A finished run is an *archive* (:mod:`.archive`): one ``.npz`` of arrays with a JSON string of facts and a digest of
everything.  A run that is going on is a *journal* (:mod:`.journal`): a file that grows by one record a step, so that a
checkpoint costs the same after a hundred thousand steps as after one.  Both stand under the name the user gave
(:mod:`.places`), and both hold states by the same names (:mod:`.states`).
"""
