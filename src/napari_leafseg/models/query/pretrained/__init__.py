"""Weights that the authors of CondInst, SOLOv2, SOTR and Mask2Former released, made into ours."""
