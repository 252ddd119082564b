"""Image encoders under one name: the suite's own nets, a face-recognition net, every timm model.

A `Backbone` gives a feature map [B, M, h, w] (for local critics and maps) and a feature vector
[B, F]. Weights come from a local file (safetensors, or a state dict read with
``weights_only=True``) or, where the machine has network, from timm's hub.
"""

from fer_bench.backbones.backbone import Backbone, GlobalAverage
from fer_bench.backbones.build import BackboneConfig, build_backbone

__all__ = ["Backbone", "BackboneConfig", "GlobalAverage", "build_backbone"]
